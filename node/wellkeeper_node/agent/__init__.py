"""The node as a member of a fleet."""
