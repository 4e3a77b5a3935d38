"""What happens beside nginx, without an issuer."""
