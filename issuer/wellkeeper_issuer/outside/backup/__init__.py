"""Back up an issuer into one encrypted file, and restore it."""
