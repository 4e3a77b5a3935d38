"""From a pair to a certificate that is served: install, reload, verify; and the batch that shares a reload."""
