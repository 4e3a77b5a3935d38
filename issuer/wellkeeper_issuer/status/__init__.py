"""The state of every certificate, from disk alone."""
