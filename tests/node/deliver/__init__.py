"""Tests of deliver/: install, reload, verify, and the batch."""
