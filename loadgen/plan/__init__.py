"""Checked data and a seed become what will happen."""
