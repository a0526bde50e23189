"""A run while it goes on: the coordinator, what it hears from workers and brokers, and when it ends."""
