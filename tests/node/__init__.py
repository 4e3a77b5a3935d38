"""Tests of the node package: certificates on disk, reloads, handshakes and responders."""
