"""Findings and remedies for CAs and the state, in words: pure functions and tables."""
