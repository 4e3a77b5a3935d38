"""Processes of nginx."""
