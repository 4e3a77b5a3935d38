"""The network that doctor's checks may use: --offline and two variables, which also count at the end of commands."""

import os
from ipaddress import ip_address
from typing import Final

import click

from wellkeeper_issuer.doctor.checks import Network
from wellkeeper_issuer.settings.values import parse_address

_OFFLINE: Final = "WELLKEEPER_OFFLINE"
_DNS_SERVER: Final = "WELLKEEPER_DNS_SERVER"

offline_option = click.option(
    "--offline", "is_offline", is_flag=True, help=f"Skip the checks that need the network; so does {_OFFLINE}=1."
)


def allowed_network(*, is_offline: bool = False) -> Network:
    """Return what this process may use. Raises UsageError for a variable with a wrong value."""
    server = os.environ.get(_DNS_SERVER)
    try:
        servers = (_parse_server(server),) if server else ()
    except ValueError as error:
        raise click.UsageError(f"{_DNS_SERVER}: {error}") from error
    return Network(is_offline or os.environ.get(_OFFLINE, "") not in {"", "0"}, servers)


def _parse_server(value: str) -> tuple[str, int]:
    """Parse IP:PORT; raises ValueError. A host name would need a name server first."""
    host, port = parse_address(value)
    try:
        ip_address(host)
    except ValueError as error:
        raise ValueError(f"{host!r} is not an IP address; write IP:PORT, such as 127.0.0.1:53") from error
    return host, port
