"""What the issuer reads, runs and reports on its own host."""
