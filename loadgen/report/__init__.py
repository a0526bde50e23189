"""A run on disk becomes something to read."""
