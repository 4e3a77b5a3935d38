"""Settings of a node, `node.toml`: parsed once into a frozen object; a mistake names file, line and remedy.

`join` writes the file. A program reads it that installs keys and runs hooks, so only root may be able to change it.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from wellkeeper_client import permissions
from wellkeeper_client.foreign_text import one_line
from wellkeeper_node import rights
from wellkeeper_node.errors import FleetError
from wellkeeper_node.nginx.control import Control, find_conflict
from wellkeeper_node.settings import values
from wellkeeper_node.settings.values import Key
from wellkeeper_node.start import DEFAULT_STATE_DIR

DEFAULT_TRUST_FILE: Final = Path("/etc/wellkeeper/trust.toml")
_MAX_BYTES: Final = 64 * 1024
_PLACE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """All of node.toml. `relays` are addresses, tried in this order; `deploy` runs after nginx loads a certificate."""

    name: str
    relays: tuple[str, ...]
    state_dir: Path = DEFAULT_STATE_DIR
    certificates_dir: Path = Path("/var/lib/wellkeeper/certificates")
    certificates_group: str | None = None
    responder: str = "unix:/run/wellkeeper/control.sock"
    trust_file: Path = DEFAULT_TRUST_FILE
    http_addresses: tuple[tuple[str, int], ...] = (("127.0.0.1", 80),)
    https_addresses: tuple[tuple[str, int], ...] = (("127.0.0.1", 443),)
    proxy_protocol: bool = False
    answers: bool = True
    nginx: Control = field(default_factory=Control)
    deploy: tuple[str, ...] | None = None


_KEYS: Final[Mapping[str, Key]] = {
    "name": values.name,
    "relays": values.relays,
    "state_dir": values.path,
    "certificates_dir": values.path,
    "certificates_group": values.text,
    "responder": values.responder,
    "trust_file": values.path,
    "http_addresses": values.addresses,
    "https_addresses": values.addresses,
    "proxy_protocol": values.flag,
    "answers": values.flag,
}
_NGINX: Final[Mapping[str, Key]] = {
    "command": values.argv,
    "pid_file": values.pid_file,
    "reload_command": values.argv,
    "error_log": values.path,
    "test": values.test,
    "agent": values.path,
}
_HOOKS: Final[Mapping[str, Key]] = {"deploy": values.argv}
_REQUIRED: Final = ("name", "relays")


def read(path: Path) -> NodeSettings:
    """Read the file. Raises FleetError, also when others may change it."""
    if fault := permissions.find_fault(path):
        raise FleetError(f"cannot trust {path}", fault.why, fault.remedy)
    try:
        data = rights.read_file(path)
    except FileNotFoundError as error:
        raise FleetError(f"{path} does not exist", "", "Run 'wellkeeper-node join' first.") from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise FleetError(f"cannot read {path}", str(why), "Run the command as root.") from error
    return parse(data, path)


def parse(data: bytes, path: Path) -> NodeSettings:
    """Return the settings; `path` is for messages. Raises FleetError."""
    if len(data) > _MAX_BYTES:
        raise FleetError(f"cannot use {path}", f"it is longer than {_MAX_BYTES} bytes")
    try:
        text = data.decode()
        found = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise FleetError(f"{path} is not UTF-8", str(error), "Save the file in UTF-8.") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        place = _PLACE.search(str(error))
        where = f"{path}:{place[1]}" if place and place[1] else str(path)
        raise FleetError(f"{where}: not valid TOML", _PLACE.sub("", str(error)), "Fix this line.") from error
    nginx, hooks = (_table(found, key, path) for key in ("nginx", "hooks"))
    given = _parsed(found, _KEYS, text, path)
    if missing := [key for key in _REQUIRED if key not in given]:
        raise FleetError(f"{path}: {missing[0]} is missing", "", f"Add it, for example: {missing[0]} = …")
    return NodeSettings(
        **given,
        nginx=_control(_parsed(nginx, _NGINX, text, path, "nginx."), path),
        **_parsed(hooks, _HOOKS, text, path, "hooks."),
    )


def to_toml(settings: NodeSettings) -> str:
    """Return the file that `join` writes: what has no default, and what a person may want to change."""
    group = f"certificates_group = {_quoted(settings.certificates_group)}\n" if settings.certificates_group else ""
    return (
        "# Settings of this node, written by 'wellkeeper-node join'; yours to change.\n"
        f"name = {_quoted(settings.name)}\n"
        f"relays = [{', '.join(map(_quoted, settings.relays))}]\n"
        f"state_dir = {_quoted(str(settings.state_dir))}\n"
        f"certificates_dir = {_quoted(str(settings.certificates_dir))}\n"
        f"{group}"
        f"responder = {_quoted(settings.responder)}\n"
        f"trust_file = {_quoted(str(settings.trust_file))}\n"
        '# Where tokens are read back through this nginx; add "[::1]:80" if the names have AAAA records.\n'
        f"http_addresses = {_addresses(settings.http_addresses)}\n"
        f"https_addresses = {_addresses(settings.https_addresses)}\n"
        f"answers = {str(settings.answers).lower()}\n"
    )


def _table(found: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    table = found.pop(key, {})
    if not isinstance(table, dict):
        raise FleetError(f"{path}: {key} must be a table", "", f"Write [{key}], then its keys.")
    return table


def _control(given: Mapping[str, Any], path: Path) -> Control:
    control = Control(**given)
    if conflict := find_conflict(given, control.test):
        raise FleetError(f"{path}: [nginx]", conflict, "Remove one of them.")
    return control


def _parsed(
    found: Mapping[str, Any], keys: Mapping[str, Key], text: str, path: Path, prefix: str = ""
) -> dict[str, Any]:
    parsed = {}
    for key, value in found.items():
        try:
            parsed[key] = keys.get(key, values.unknown)(value)
        except ValueError as error:
            where = f"{path}:{_line_of(text, key)}: {prefix}{key} = {one_line(repr(value), 60)}"
            raise FleetError(where, str(error), "Fix this line.") from error
    return parsed


def _line_of(text: str, key: str) -> int:
    """Return the line that begins with the key."""
    lines = enumerate(text.split("\n"), 1)
    return next((number for number, line in lines if line.lstrip().lstrip("\"'").startswith(key)), 1)


def _quoted(text: str | None) -> str:
    escaped = (text or "").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _addresses(found: tuple[tuple[str, int], ...]) -> str:
    return f"[{', '.join(_quoted(values.address_text(one)) for one in found)}]"
