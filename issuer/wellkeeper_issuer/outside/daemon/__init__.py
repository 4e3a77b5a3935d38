"""The daemon's socket: server, client and protocol."""
