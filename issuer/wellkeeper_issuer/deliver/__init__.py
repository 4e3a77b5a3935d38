"""The stages on the node: install, reload, verify. Nothing here knows ACME."""
