"""What a responder is told at its start, parsed once."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wellkeeper_client import wire
from wellkeeper_client.signing import decode_public_key

DEFAULT_PUBLIC: Final = "unix:/run/wellkeeper/public.sock"
DEFAULT_CONTROL: Final = "unix:/run/wellkeeper/control.sock"
DEFAULT_MAX_TOKENS: Final = 10_000
WHERE_FROM: Final = (
    "On the issuer's host, 'wellkeeper init' makes both public values and 'wellkeeper trust' prints them again."
)
# sockaddr_un holds 108 bytes, the last one zero.
_MAX_UNIX_PATH: Final = 107
_HOST_AND_PORT: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<host>[^:\[\]\s]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class UnixAddress:
    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """Port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_exposed(self) -> bool:
        """Whether others than this machine and its private networks may reach it; False for a name."""
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return False
        # Python counts 0.0.0.0 and :: as private.
        return address.is_unspecified or not (address.is_private or address.is_loopback)


Address = UnixAddress | TcpAddress


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a responder is; public values only."""

    publishing_keys: tuple[Ed25519PublicKey, ...]
    account_thumbprints: tuple[str, ...]
    public: tuple[Address, ...]
    control: tuple[Address, ...]
    public_mode: int = 0o666
    control_mode: int = 0o660
    max_tokens: int = DEFAULT_MAX_TOKENS
    max_lifetime_seconds: int = wire.MAX_LIFETIME_SECONDS


def parse_address(text: str) -> Address:
    """`unix:PATH`, `host:port` or `[v6]:port`; raises ValueError with a sentence for the administrator."""
    if text.startswith("unix:"):
        return _parse_unix(text.removeprefix("unix:"))
    matched = _HOST_AND_PORT.fullmatch(text)
    if matched is None:
        raise ValueError(f"{text!r} is no address; expected unix:PATH, host:port or [v6]:port")
    port = int(matched["port"])
    if port > 65535:
        raise ValueError(f"{text!r}: a port is at most 65535")
    return TcpAddress(matched["v6"] or matched["host"], port)


def parse_thumbprint(text: str) -> str:
    """Raises ValueError, as the others here."""
    if wire.THUMBPRINT_PATTERN.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no RFC 7638 thumbprint; expected 43 characters of base64url. {WHERE_FROM}")
    return text


def parse_publishing_key(text: str) -> Ed25519PublicKey:
    try:
        return decode_public_key(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no publishing key: {error}. {WHERE_FROM}") from error


def parse_mode(text: str) -> int:
    if re.fullmatch("0?[0-7]{3}", text) is None:
        raise ValueError(f"{text!r} is no mode; expected octal digits such as 0660")
    return int(text, 8)


def check_addresses(public: tuple[Address, ...], control: tuple[Address, ...]) -> None:
    """Raises ValueError when a place is named twice: control must never be reached through a public listener."""
    places = [_place(address) for address in (*public, *control) if not _is_any_port(address)]
    for address in (*public, *control):
        if not _is_any_port(address) and places.count(_place(address)) > 1:
            raise ValueError(
                f"{address} is given more than once; every listener, public or control, needs an address of its own"
            )


def _parse_unix(path: str) -> UnixAddress:
    if not path.startswith("/"):
        raise ValueError(f"unix:{path}: the path must be absolute")
    if len(path.encode()) > _MAX_UNIX_PATH:
        raise ValueError(f"unix:{path}: a socket's path has at most {_MAX_UNIX_PATH} bytes")
    return UnixAddress(Path(path))


def _place(address: Address) -> object:
    return address.path.resolve() if isinstance(address, UnixAddress) else address


def _is_any_port(address: Address) -> bool:
    return isinstance(address, TcpAddress) and address.port == 0
