"""What a daemon does for commands that ask it, and how they ask."""
