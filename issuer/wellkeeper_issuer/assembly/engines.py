"""Make what concerns the engine from the settings."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.fleet import engine_acl
from wellkeeper_issuer.fleet.engine_acl import EngineUser
from wellkeeper_issuer.outside.keys.engine_passwords import EnginePasswords, read_password
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.bundles.engine_access import EngineAccess
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.records.engine import DEFAULT_PREFIX, EngineAddress, parse_engine

if TYPE_CHECKING:
    from wellkeeper_node.records.engine_calls import EngineCalls
    from wellkeeper_node.records.valkey import ValkeyRecords

ISSUER: Final = "wellkeeper-issuer"
# As in `records.valkey`.
CALL_SECONDS: Final = 0.25
_CONNECT_SECONDS: Final = 1.0
# A node's record, of at most 64 KiB, has the file in base64 twice.
_LONGEST_CA: Final = 16 * 1024
_SENTINEL_FILE: Final = "Write the password of the Sentinels there, or name another file as sentinel_password_file."
INSTALL: Final = "Run 'pip install \"wellkeeper[valkey]\"' in the environment of Wellkeeper."


@dataclass(frozen=True, slots=True)
class User:
    """A user of the engine with the file of its password, and its line of the engine's ACL file."""

    name: str
    file: Path
    line: str


def users(settings: Settings, address: EngineAddress | None, node_user: str) -> tuple[User, User]:
    """Return the issuer's user and that of the nodes at this engine. Raises SettingsError."""
    prefix = address.prefix if address else DEFAULT_PREFIX
    of_issuer, of_nodes = password_files(settings)
    issuer = EngineUser((address and address.user) or ISSUER, read_password(of_issuer))
    node = EngineUser(node_user, read_password(of_nodes))
    return (
        User(issuer.name, of_issuer, engine_acl.issuer_line(issuer, prefix)),
        User(node.name, of_nodes, engine_acl.node_line(node, prefix)),
    )


def password_files(settings: Settings) -> tuple[Path, Path]:
    """Return the files of the passwords of issuer and nodes."""
    found, made = settings.fleet.engine, EnginePasswords(settings.state_dir)
    return found.password_file or made.issuer, found.node_password_file or made.nodes


def named_files(settings: Settings) -> list[Path | None]:
    """Return the files of passwords and CAs that the settings name."""
    found, address = settings.fleet.engine, engine_address(settings)
    ca = Path(address.ca_file) if address and address.ca_file else None
    return [found.password_file, found.node_password_file, found.sentinel_password_file, ca]


def engine_address(settings: Settings) -> EngineAddress | None:
    text = settings.fleet.engine.address
    return parse_engine(text) if text else None


def required_address(settings: Settings) -> EngineAddress:
    """Raises SettingsError if the settings have no engine."""
    address = engine_address(settings)
    if address is None:
        remedy = "Add its address: wellkeeper engine check rediss://HOST:6379"
        raise SettingsError("there is no engine to check", "the settings have none", remedy)
    return address


def with_user(address: EngineAddress, user: str | None) -> str:
    """Return the text of the address with this user of the issuer, by default the one it has, or ours."""
    parts = urlsplit(address.text)
    netloc = f"{quote(user or address.user or ISSUER, safe='')}@{parts.netloc.rpartition('@')[2]}"
    return urlunsplit((parts.scheme, netloc, parts.path, parts.query, ""))


def node_access(settings: Settings) -> EngineAccess | None:
    """Return what nodes need to follow the engine, None without one. Raises SettingsError."""
    address = engine_address(settings)
    if address is None:
        return None
    password = read_password(password_files(settings)[1])
    user = settings.fleet.engine.node_user
    return EngineAccess(for_nodes(address), user, password, _ca_pem(address), *_sentinel_access(settings))


def for_nodes(address: EngineAddress) -> str:
    """Return the address without the issuer's user and file, as nodes get and show it."""
    parts = urlsplit(address.text)
    query = urlencode({"prefix": address.prefix}, safe="{}") if address.prefix != DEFAULT_PREFIX else ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def issuer_records(settings: Settings, address: EngineAddress) -> "ValkeyRecords":
    """Return the records in the engine, as the issuer sees them. Raises SettingsError."""
    of_issuer, _ = calls(settings, address)
    from wellkeeper_node.records.valkey import ValkeyRecords

    return ValkeyRecords(of_issuer, SystemClock(), "")


def calls(
    settings: Settings, address: EngineAddress, call_seconds: float = CALL_SECONDS
) -> "tuple[EngineCalls, EngineCalls]":
    """Return the connections of issuer and nodes. Raises SettingsError."""
    try:
        from wellkeeper_node.records.engine_calls import EngineCalls
        from wellkeeper_node.records.engine_connection import Access
    except ImportError as error:
        raise SettingsError("cannot use the engine", str(error), INSTALL) from error
    names = (address.user or ISSUER, settings.fleet.engine.node_user)
    passwords, of_sentinels = map(read_password, password_files(settings)), _sentinel_access(settings)
    _ca_pem(address)
    accesses = (
        Access(address, *one, call_seconds, max(call_seconds, _CONNECT_SECONDS), *of_sentinels)
        for one in zip(names, passwords, strict=True)
    )
    of_issuer, of_nodes = map(EngineCalls, accesses)
    return of_issuer, of_nodes


def _sentinel_access(settings: Settings) -> tuple[str, str]:
    """Return password and user for the Sentinels."""
    found = settings.fleet.engine
    password = found.sentinel_password_file and read_password(found.sentinel_password_file, _SENTINEL_FILE)
    return password or "", found.sentinel_user or ""


def _ca_pem(address: EngineAddress) -> str:
    if not address.ca_file:
        return ""
    try:
        found = Path(address.ca_file).read_text("ascii")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SettingsError(
            f"cannot read the CA file of the engine {address.ca_file}", why, "Fix '?ca=' in the address."
        ) from error
    if len(found) > _LONGEST_CA:
        why = f"it has {len(found)} bytes, but at most {_LONGEST_CA} are allowed, because each node gets it"
        remedy = "Name a file with only the CA of the engine; a CA of the system needs no '?ca='."
        raise SettingsError(f"cannot use the CA file of the engine {address.ca_file}", why, remedy)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=found)
    except (ssl.SSLError, ValueError) as error:
        why, remedy = f"it has no certificate: {one_line(error)}", "Write the certificate of the CA there, as PEM."
        raise SettingsError(f"cannot use the CA file of the engine {address.ca_file}", why, remedy) from error
    return found
