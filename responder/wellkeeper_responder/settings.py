"""Parse the settings of a responder, once at its start."""

import ipaddress
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wellkeeper_client import wire
from wellkeeper_client.signing import decode_public_key
from wellkeeper_client.trust_file import Trust

DEFAULT_PUBLIC: Final = "unix:/run/wellkeeper/public.sock"
DEFAULT_MAX_TOKENS: Final = 10_000
WHERE_FROM: Final = "On the issuer's host, 'wellkeeper trust' shows the public values."
# sockaddr_un has 108 bytes, the last one zero.
_MAX_UNIX_PATH: Final = 107
# The system looks up no name with an empty label, or one of more than 63 characters.
_NAME: Final = r"[^:\[\]\s.]{1,63}(?:\.[^:\[\]\s.]{1,63})*\.?"
_HOST_AND_PORT: Final = re.compile(rf"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<host>{_NAME})):(?P<port>[0-9]{{1,5}})")


@dataclass(frozen=True, slots=True)
class UnixAddress:
    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host and a port; with port 0 the system chooses one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def is_exposed(self, own_addresses: Callable[[], Collection[str]]) -> bool:
        """Return true if the address is neither loopback nor private; false for a host name.

        0.0.0.0 and :: stand for the addresses of this host: those of a container are private.
        """
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return False
        # Python counts 0.0.0.0 and :: as private.
        hosts = own_addresses() if address.is_unspecified else (self.host,)
        return not hosts or not all(map(_is_private, hosts))


Address = UnixAddress | TcpAddress


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a responder; none of them is secret.

    `trust` has the values that were given as options; `trust_owner` may own the trust file, as root may.
    """

    trust: Trust
    public: tuple[Address, ...]
    control: tuple[Address, ...]
    public_mode: int = 0o666
    control_mode: int = 0o660
    max_tokens: int = DEFAULT_MAX_TOKENS
    max_lifetime_seconds: int = wire.MAX_LIFETIME_SECONDS
    trust_owner: int | None = None
    hold_unknown_seconds: float = 0.0


def parse_address(text: str) -> Address:
    """Parse `unix:PATH`, `HOST:PORT` or `[IPV6]:PORT`. Raises ValueError with a message for the administrator."""
    if text.startswith("unix:"):
        return _parse_unix(text.removeprefix("unix:"))
    matched = _HOST_AND_PORT.fullmatch(text)
    if matched is None:
        raise ValueError(f"{text!r} is not an address; write unix:PATH, HOST:PORT or [IPV6]:PORT")
    port = int(matched["port"])
    if port > 65535:
        raise ValueError(f"{text!r}: the port must be at most 65535")
    return TcpAddress(matched["v6"] or matched["host"], port)


def parse_thumbprint(text: str) -> str:
    """Check an RFC 7638 thumbprint; raises ValueError."""
    if wire.THUMBPRINT_PATTERN.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not an RFC 7638 thumbprint: expected 43 characters of base64url. {WHERE_FROM}")
    return text


def parse_publishing_key(text: str) -> str:
    """Check a publishing key; raises ValueError."""
    try:
        decode_public_key(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a publishing key: {error}. {WHERE_FROM}") from error
    return text


def parse_mode(text: str) -> int:
    if re.fullmatch("0?[0-7]{3}", text) is None:
        raise ValueError(f"{text!r} is not a mode; write octal digits, such as 0660")
    return int(text, 8)


def check_addresses(public: tuple[Address, ...], control: tuple[Address, ...]) -> None:
    """Raise ValueError for an address that appears twice: no public listener may give access to control requests."""
    places = [_place(address) for address in (*public, *control) if not _is_any_port(address)]
    for address in (*public, *control):
        if not _is_any_port(address) and places.count(_place(address)) > 1:
            raise ValueError(
                f"{address} is given more than once; every public and control listener needs a different address"
            )


def _is_private(host: str) -> bool:
    address = ipaddress.ip_address(host)
    return address.is_private or address.is_loopback


def _parse_unix(path: str) -> UnixAddress:
    if not path.startswith("/"):
        raise ValueError(f"unix:{path}: the path must be absolute")
    if len(path.encode()) > _MAX_UNIX_PATH:
        raise ValueError(f"unix:{path}: the path of a socket may have at most {_MAX_UNIX_PATH} bytes")
    return UnixAddress(Path(path))


def _place(address: Address) -> object:
    return address.path.resolve() if isinstance(address, UnixAddress) else address


def _is_any_port(address: Address) -> bool:
    return isinstance(address, TcpAddress) and address.port == 0
