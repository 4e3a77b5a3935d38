"""Findings and remedies in words: pure functions and tables."""
