"""How every certificate stands, from disk alone."""
