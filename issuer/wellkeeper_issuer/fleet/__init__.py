"""The issuer's side of a fleet: the relay's feed, reports of nodes, sealed bundles and the manifest."""
