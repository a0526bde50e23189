"""Faults of a run: injected and healed on time, watched until all is well again, and told in the result."""
