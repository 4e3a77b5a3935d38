"""Remedies for problems with CAs and the state: pure functions and tables."""
