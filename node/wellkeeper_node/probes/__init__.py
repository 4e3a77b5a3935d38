"""Questions to nginx from outside: handshakes and read-backs."""
