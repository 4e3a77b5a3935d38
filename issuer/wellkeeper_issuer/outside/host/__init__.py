"""Files, commands and notifications on the issuer's own host."""
