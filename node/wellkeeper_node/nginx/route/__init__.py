"""Predict what nginx does with a challenge, and find the directive to change: pure functions of its configuration."""
