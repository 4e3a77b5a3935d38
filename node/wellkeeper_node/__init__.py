"""What happens beside nginx: certificates on disk, reloads, handshakes, and the responders; never acme."""
