"""Handshakes and read-backs."""
