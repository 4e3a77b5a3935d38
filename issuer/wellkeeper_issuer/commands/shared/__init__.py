"""What several commands share, and what the daemon does for them."""
