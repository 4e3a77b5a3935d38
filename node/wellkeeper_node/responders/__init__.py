"""Connections to responders: active publications and the feed of fetches."""
