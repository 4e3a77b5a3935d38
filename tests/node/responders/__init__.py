"""Connections to responders that run in this process."""
