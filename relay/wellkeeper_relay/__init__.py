"""Signed and sealed records in memory, which the issuer feeds and nodes follow."""
