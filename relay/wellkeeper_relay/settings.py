"""Parse the settings of a relay, once at its start."""

from dataclasses import dataclass
from typing import Final

from wellkeeper_client import relay_wire
from wellkeeper_client.signing import decode_public_key
from wellkeeper_responder.settings import Address, TcpAddress, UnixAddress, parse_address

# A thousand certificates on twenty nodes take about 45 MiB.
DEFAULT_MAX_MEBIBYTES: Final = 256
MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a relay; none of them is secret. `fleet_keys` are raw Ed25519 public keys in base64url."""

    fleet_keys: tuple[str, ...]
    nodes: tuple[Address, ...]
    issuer: UnixAddress
    nodes_mode: int = 0o666
    issuer_mode: int = 0o660
    max_bytes: int = DEFAULT_MAX_MEBIBYTES * MEBIBYTE


def parse_nodes_address(text: str) -> Address:
    """Parse the address that nodes dial: `unix:PATH` behind TLS, or a private IP address. Raises ValueError.

    The relay checks what a name leads to when it listens.
    """
    address = parse_address(text)
    host = address.host if isinstance(address, TcpAddress) else ""
    if host and not relay_wire.is_name(host) and not relay_wire.is_private(host):
        raise ValueError(
            f"{text}: plain HTTP needs a private IP address of this host, such as 10.0.0.1:8404, or a name of one; for"
            " other networks use unix:PATH behind an nginx with TLS"
        )
    return address


def parse_issuer_address(text: str) -> UnixAddress:
    """Parse the address that only the issuer may reach. Raises ValueError."""
    address = parse_address(text)
    if not isinstance(address, UnixAddress):
        raise ValueError(f"{text}: the issuer's address must be a unix socket, unix:PATH")
    return address


def parse_fleet_key(text: str) -> str:
    """Check a fleet key; raises ValueError."""
    try:
        decode_public_key(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a fleet key: {error}") from error
    return text
