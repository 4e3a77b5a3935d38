"""Install, reload, verify, and the batch."""
