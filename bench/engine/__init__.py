"""Measurements of a fleet whose records are in a Valkey beside the relay."""
