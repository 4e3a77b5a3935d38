"""Addresses of an engine: Valkey or Redis, directly, at a unix socket, or found by asking Sentinels.

A password is never part of an address, which settings and logs may show. Plain redis:// to a public address is refused.
valkey:// and valkeys:// mean the same as redis:// and rediss://.
"""

import importlib
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from wellkeeper_client import relay_wire
from wellkeeper_node.errors import UnavailableError
from wellkeeper_node.ports import Clock
from wellkeeper_node.records.port import KeptRecords

# The braces keep all keys in one slot of a cluster.
DEFAULT_PREFIX: Final = "{wk}"
_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_SCHEMES: Final = {"redis": False, "rediss": False, "unix": False, "redis+sentinel": True, "rediss+sentinel": True}
_HOST_AND_PORT: Final = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?"
)
_IP_ADDRESS: Final = re.compile(r"[0-9.]+|.*:.*")
# Also one that '/', '?' or '#' cuts off from the host; not a port before an option, whose value may have '@'.
_WITH_PASSWORD: Final = re.compile(
    r"(?!unix:)(?:[^:]*://)?[^@/?#\[]*:(?!//|[0-9]+(?:[,/][^@?#]*)?\?(?:ca|prefix)=)[^@]*@"
)
_NOT_IN_ADDRESSES: Final = re.compile(r"[\s#]")
_DATABASE: Final = re.compile("[0-9]{1,5}")
_PREFIX: Final = re.compile(r"[A-Za-z0-9_.{}-]{1,64}")
_FORMS: Final = (
    "redis://HOST[:PORT][/DATABASE], rediss://HOST[:PORT]?ca=FILE, unix:/PATH or redis+sentinel://HOST,HOST/SERVICE"
)
_ONLY_PRIVATE: Final = "redis:// is allowed only to private addresses; use rediss:// or a VPN"


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """The place of an engine: `hosts` are its own, or those of the Sentinels that know the primary of `service`.

    `socket` is the path of a unix socket, or "". `ca_file` has the CAs of TLS; "": those of the system. All keys begin
    with `prefix` and a colon. `text` is what the administrator wrote.
    """

    text: str
    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    socket: str = ""
    service: str = ""
    database: int = 0
    user: str = ""
    ca_file: str = ""
    prefix: str = DEFAULT_PREFIX

    @property
    def is_encrypted(self) -> bool:
        return self.scheme.startswith("rediss")


def open_records(  # noqa: PLR0913 - the last three are keywords
    address: EngineAddress,
    user: str,
    password: str,
    clock: Clock,
    *,
    node: str = "",
    sentinel_user: str = "",
    sentinel_password: str = "",
) -> KeptRecords:
    """Return the records in an engine as `valkey.open_engine` does. Raises UnavailableError without the client."""
    try:
        module = importlib.import_module("wellkeeper_node.records.valkey")
    except ImportError as error:  # also of another version
        is_missing = isinstance(error, ModuleNotFoundError)
        why = f"the Python package {(error.name or '').partition('.')[0]} is missing" if is_missing else str(error)
        remedy = "Run \"pip install 'wellkeeper[valkey]'\" where Wellkeeper is installed."
        raise UnavailableError(f"cannot use the engine at {address.text}", why, remedy) from error
    opened: KeptRecords = module.open_engine(
        address,
        user,
        password,
        clock,
        node=node,
        sentinel_user=sentinel_user,
        sentinel_password=sentinel_password,
    )
    return opened


def parse_engine(text: str) -> EngineAddress:
    """Raises ValueError with a message for the administrator, which does not contain a password."""
    written = text.partition(":")[0]
    scheme = written.replace("valkey", "redis", 1)
    parts = _split(text.replace(written, scheme, 1))
    if _WITH_PASSWORD.match(text) or (parts is not None and parts.password is not None):
        raise ValueError("an engine's address must not contain the password; put it into a file (password_file)")
    if parts is None or scheme not in _SCHEMES or _NOT_IN_ADDRESSES.search(text) or text == f"{written}:":
        raise ValueError(f"{text!r} is not the address of an engine; write {_FORMS}")
    ca_file, prefix = _options(parts)
    if scheme == "unix":
        return EngineAddress(text, scheme, socket=_socket(text, parts), prefix=prefix)
    service, database = _path(text, parts)
    hosts = tuple(_host(text, one, scheme) for one in _hosts(parts).split(","))
    if len(hosts) > 1 and not service:
        raise ValueError(f"{text}: several hosts must be Sentinels; write redis+sentinel://HOST,HOST/SERVICE")
    user = unquote(parts.username or "")
    return EngineAddress(
        text, scheme, hosts, service=service, database=database, user=user, ca_file=ca_file, prefix=prefix
    )


def _split(text: str) -> SplitResult | None:
    try:
        return urlsplit(text)
    except ValueError:  # brackets without an address
        return None


def _socket(text: str, parts: SplitResult) -> str:
    if parts.netloc or not parts.path.startswith("/"):
        raise ValueError(f"{text}: write the path of the socket after the colon: unix:/run/valkey/valkey.sock")
    return unquote(parts.path)


def _options(parts: SplitResult) -> tuple[str, str]:
    """Return the file of CAs and the prefix."""
    found = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := found.keys() - {"ca", "prefix"}:
        raise ValueError(f"unknown option {min(unknown)!r} in an engine's address; the options are 'ca' and 'prefix'")
    if "ca" in found and not (parts.scheme.startswith("rediss") and found["ca"].startswith("/")):
        raise ValueError("the option 'ca' must be the absolute path of a file, and needs rediss://")
    if "prefix" in found and _PREFIX.fullmatch(found["prefix"]) is None:
        raise ValueError("the option 'prefix' must have 1 to 64 letters, digits, or characters of '_.{}-'")
    return found.get("ca", ""), found.get("prefix", DEFAULT_PREFIX)


def _path(text: str, parts: SplitResult) -> tuple[str, int]:
    """Return service and database."""
    names = parts.path.strip("/").split("/") if parts.path.strip("/") else []
    service = unquote(names.pop(0)) if _SCHEMES[parts.scheme] and names else ""
    if _SCHEMES[parts.scheme] and not service:
        raise ValueError(f"{text}: name the service that the Sentinels monitor: {parts.scheme}://HOST,HOST/SERVICE")
    if len(names) > 1 or (names and _DATABASE.fullmatch(names[0]) is None):
        raise ValueError(f"{text}: the number of the database comes last, such as redis://HOST:6379/0")
    return service, int(names[0]) if names else 0


def _hosts(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _host(text: str, one: str, scheme: str) -> tuple[str, int]:
    matched = _HOST_AND_PORT.fullmatch(one)
    port = int((matched and matched["port"]) or (_SENTINEL_PORT if _SCHEMES[scheme] else _PORT))
    if matched is None or not 0 < port <= 65535:
        brackets = f"; write [{one}]" if _IP_ADDRESS.fullmatch(one) and one.count(":") > 1 else ""
        raise ValueError(f"{text}: {one!r} is not HOST or HOST:PORT{brackets}")
    host = matched["v6"] or matched["host"]
    if not scheme.startswith("rediss") and _IP_ADDRESS.fullmatch(host) and not relay_wire.is_private(host):
        raise ValueError(f"{text}: {_ONLY_PRIVATE}")
    return host, port
