"""The system under test: start it, provision it, look at it."""
