"""Certificate authorities over the wire, and our accounts at them."""
