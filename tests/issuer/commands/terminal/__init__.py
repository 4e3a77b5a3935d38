"""Tests of terminal/."""
