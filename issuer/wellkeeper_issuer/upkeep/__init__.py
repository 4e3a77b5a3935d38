"""Plan renewals, choose CAs, share reloads, and follow up on each pass."""
