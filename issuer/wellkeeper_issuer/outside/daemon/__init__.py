"""The daemon's socket: server, client, and the lines between them."""
