"""The checks of doctor for the nginx and the responder of this host: read-only, without the network."""
