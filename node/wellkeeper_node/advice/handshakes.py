"""Remedies when nginx does not serve the installed certificate: pure functions."""

import socket
from typing import Final

from wellkeeper_node.model import KeyAlgorithm
from wellkeeper_node.wording import with_reload

_WRONG: Final = (
    "Look in 'nginx -T' for another server block with this name, a default_server that answers instead, or a copy of"
    " the certificate."
)
_OTHER_KEY: Final = (
    "Look in 'nginx -T' for another server block with this name, or add TLSv1.2 to ssl_protocols: without it clients"
    " cannot ask for the {} certificate."
)
_SILENT: Final = with_reload(
    "Check that nginx has 'listen 443 ssl' at this address, and https_addresses and proxy_protocol in the settings."
)


def remedy_for_no_connection(address: tuple[str, int], error: OSError) -> str:
    """Return the remedy when nothing answers at an address."""
    if isinstance(error, socket.gaierror):
        return with_reload(f"Start the host {address[0]!r}, or change https_addresses in the settings.")
    return with_reload(
        f"Check that nginx runs with 'listen {address[1] or address[0]} ssl', and https_addresses in the settings."
    )


def remedy_for_copy(live_path: str) -> str:
    """Return the remedy when nginx reads an older version from somewhere else."""
    return f"Point ssl_certificate at {live_path}/fullchain.pem, not at a copy or one version, then reload nginx."


def remedy_for_unused(live_path: str) -> str:
    """Return the remedy when a server block has these names, and another certificate."""
    return f"Set 'ssl_certificate {live_path}/fullchain.pem;' and its key in the server block, then reload nginx."


def remedy_for_wrong_leaf(other_key: KeyAlgorithm | None, any_leaf: bool) -> str:
    """Return the remedy; `other_key` is the installed key's algorithm if nginx serves a leaf with another one."""
    if not any_leaf:
        return _SILENT
    return _WRONG if other_key is None else _OTHER_KEY.format(other_key)
