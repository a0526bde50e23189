"""A run while it goes on: the view on the terminal, metrics for others to collect, the live page."""
