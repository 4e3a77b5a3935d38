"""Parse single values of node.toml. Each function raises ValueError with what is expected."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, get_args

from wellkeeper_node.model import LINEAGE_NAME
from wellkeeper_node.nginx.control import AUTO, Test
from wellkeeper_node.records import address

Key = Callable[[Any], Any]

_ADDRESS: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")
_HIGHEST_PORT: Final = 65_535


def unknown(_: Any) -> Any:  # noqa: ANN401 - any TOML
    raise ValueError("there is no such key")


def text(value: Any) -> str:  # noqa: ANN401 - any TOML
    if not isinstance(value, str) or not value:
        raise ValueError("expected a text in quotes")
    return value


def name(value: Any) -> str:  # noqa: ANN401 - any TOML
    if LINEAGE_NAME.fullmatch(text(value)) is None:
        raise ValueError("expected a name of letters, digits, dots and hyphens")
    return str(value)


def path(value: Any) -> Path:  # noqa: ANN401 - any TOML
    found = Path(text(value))
    if not found.is_absolute():
        raise ValueError("expected an absolute path")
    return found


def pid_file(value: Any) -> Path | None:  # noqa: ANN401 - any TOML
    return None if value == AUTO else path(value)


def test(value: Any) -> str:  # noqa: ANN401 - any TOML
    if value not in get_args(Test):
        raise ValueError("expected 'command' or 'reload'")
    return str(value)


def flag(value: Any) -> bool:  # noqa: ANN401 - any TOML
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def argv(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - any TOML
    return _texts(value, "expected a command as a list, such as ['systemctl', 'reload', 'nginx']")


def relays(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - any TOML
    found = _texts(value, "expected a list of addresses of relays, such as ['10.0.0.1:8404']")
    for one in found:
        address.parse(one)
    return found


def responder(value: Any) -> str:  # noqa: ANN401 - any TOML
    if not text(value).startswith("unix:/"):
        raise ValueError("expected the control socket of the responder here, unix:/PATH")
    return str(value)


def addresses(value: Any) -> tuple[tuple[str, int], ...]:  # noqa: ANN401 - any TOML
    if not isinstance(value, list):
        raise ValueError("expected a list of addresses, such as ['127.0.0.1:80']")
    return tuple(map(_address, value))


def address_text(found: tuple[str, int]) -> str:
    """Reverse `addresses` for one of them."""
    host, port = found
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _address(value: Any) -> tuple[str, int]:  # noqa: ANN401 - any TOML
    match = _ADDRESS.fullmatch(text(value))
    if match is None or not 0 < int(match["port"]) <= _HIGHEST_PORT:
        raise ValueError("expected HOST:PORT or [IPV6]:PORT")
    return match["v6"] or match["host"], int(match["port"])


def _texts(value: Any, expected: str) -> tuple[str, ...]:  # noqa: ANN401 - any TOML
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one for one in value):
        raise ValueError(expected)
    return tuple(value)
