"""Propose changes of nginx's configuration as a patch; nothing here writes a file."""
