"""Find the node of the settings that is this host: `[nginx]` of the settings describes its nginx."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.tables import NodeSettings
from wellkeeper_node.nginx.servers import is_here


def local_node(settings: Settings) -> NodeSettings | None:
    """Return the first node with an address of this host, else one with the socket of a responder; None without one.

    Host names are not resolved: that may take long.
    """
    return next((node for is_local in _RULES for node in settings.nodes if is_local(node)), None)


def _answers_here(node: NodeSettings) -> bool:
    return any(_is_own(host) for host, _ in node.http_addresses)


def _has_socket(node: NodeSettings) -> bool:
    """Return whether its responder is here; its nginx may have an address of a NAT."""
    return node.responder.startswith("unix:")


def _is_own(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return host == "localhost"
    return is_here(host)


_RULES: Final[tuple[Callable[[NodeSettings], bool], ...]] = (_answers_here, _has_socket)
