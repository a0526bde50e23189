"""The live page: a process of its own that reads the run's folder and serves the report's charts, growing."""
