"""Likely causes and remedies for failures on a node: pure functions and tables."""
