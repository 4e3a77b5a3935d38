"""Tests of nginx/: its processes and reloads."""
