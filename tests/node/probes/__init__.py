"""Tests of probes/: handshakes and read-backs."""
