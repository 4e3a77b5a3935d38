"""Read the CA bundles of notifications and the heartbeat."""

import ssl
from pathlib import Path

from wellkeeper_issuer.errors import HookError


def tls_context(bundle: Path | None) -> ssl.SSLContext:
    """Return a client's context with the CAs of the bundle, by default the system's. Raises HookError."""
    try:
        return ssl.create_default_context(cafile=bundle)
    except OSError as error:
        why = error.strerror or str(error)
        raise HookError(f"cannot read {bundle}", why, "It must be a readable PEM file of CA certificates.") from error
