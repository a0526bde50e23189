"""Samples become mergeable aggregates."""
