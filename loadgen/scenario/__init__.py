"""A scenario file becomes checked data."""
