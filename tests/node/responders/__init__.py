"""Tests of responders/: connections to responders that run in this process."""
