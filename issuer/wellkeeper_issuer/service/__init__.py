"""Requests of commands to the daemon, and its answers."""
