"""Measurements of several nodes behind a relay."""
