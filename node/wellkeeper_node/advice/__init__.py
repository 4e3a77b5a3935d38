"""Likely causes and remedies beside nginx, in words: pure functions and tables."""
