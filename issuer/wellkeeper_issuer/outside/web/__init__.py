"""The read-only status endpoint of the daemon: HTTP on a unix socket or loopback."""
