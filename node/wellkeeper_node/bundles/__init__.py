"""Certificates on their way from the issuer to nodes: sealed bundles, and the manifest that lists them."""
