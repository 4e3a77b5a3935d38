"""The node's side: certificates on disk, reloads, handshakes and responders; never ACME."""
