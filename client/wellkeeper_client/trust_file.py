"""The trust file: the public values that a responder and a node trust, as TOML. A command writes it, they read it.

Three keys are required, the others come before them, and none is unknown, so that no beginning of a file that we wrote
is a valid file: a reader never takes half of one. Format and rules: docs/design/0018-trust-file.md.
"""

import json
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from wellkeeper_client import permissions, wire
from wellkeeper_client.foreign_text import one_line
from wellkeeper_client.publishers import Publisher, find_conflict, parse_publisher
from wellkeeper_client.signing import decode_public_key

NAME: Final = "trust.toml"
# A file with publishers has version 2: earlier versions refuse it, and would not know whom to trust with what.
VERSION: Final = 1
VERSION_WITH_PUBLISHERS: Final = 2
# A thousand accounts; a host has a few.
MAX_BYTES: Final = 64 * 1024
WRITE: Final = "Run 'wellkeeper trust --write' on the issuer's host."
_REQUIRED: Final = ("version", "account_thumbprints", "publishing_keys")
# Absent on hosts without a fleet, so that earlier versions read their file.
_FLEET_KEYS: Final = "fleet_keys"
_PUBLISHERS: Final = "publishers"
_LISTS: Final = (*_REQUIRED[1:], _FLEET_KEYS)
_KEYS: Final = (*_REQUIRED, _FLEET_KEYS, _PUBLISHERS)
_PLACE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_LONGEST_VALUE: Final = 60
_HEADER: Final = (
    "# What wellkeeper-responder trusts. Public values only.\n"
    "# 'wellkeeper trust --write' replaces the whole file; edits are lost then.\n"
)


@dataclass(frozen=True, slots=True)
class Trust:
    """RFC 7638 thumbprints of ACME accounts, and base64url of raw Ed25519 public keys; each value once, in order.

    Responders use all but the fleet keys, which nodes use.
    """

    account_thumbprints: tuple[str, ...] = ()
    publishing_keys: tuple[str, ...] = ()
    fleet_keys: tuple[str, ...] = ()
    publishers: tuple[Publisher, ...] = ()

    def __or__(self, other: "Trust") -> "Trust":
        """Return what either trusts."""
        return Trust(*(tuple(dict.fromkeys(one + more)) for one, more in self._beside(other)))

    def __sub__(self, other: "Trust") -> "Trust":
        """Return what only this one trusts."""
        return Trust(*(tuple(value for value in one if value not in less) for one, less in self._beside(other)))

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))

    def _beside(self, other: "Trust") -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
        """Yield each list with the same one of the other."""
        for field in fields(self):
            yield getattr(self, field.name), getattr(other, field.name)


class TrustError(Exception):
    """A trust file cannot be used; `what` names file and line, `remedy` is a sentence."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}. {remedy}")
        self.what = what
        self.remedy = remedy


def read(path: Path, owner: int | None = None) -> Trust:
    """Read a trust file that only root, the user of this process or `owner` may change.

    Raises TrustError, FileNotFoundError.
    """
    try:
        if fault := permissions.find_fault(path, owner, trusts_mounts=False):
            raise TrustError(f"cannot trust {path}: {fault.why}", fault.remedy)
        data = _read_bytes(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(str(path)) from error
    except OSError as error:
        remedy = f"Let uid {os.geteuid()} read it, for example with 'chmod a+rX {path.parent} {path}'."
        raise TrustError(f"cannot read {path}: {error.strerror}", remedy) from error
    return parse(data, path)


def parse(data: bytes, path: Path) -> Trust:
    """Return what the file trusts; `path` is for the message. Raises TrustError."""
    try:
        text = data.decode()
        found = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise TrustError(f"{path} is not UTF-8", WRITE) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        place = _PLACE.search(str(error))
        line = place[1] if place and place[1] else _last_line(data)
        raise TrustError(f"{path}:{line}: not valid TOML: {_PLACE.sub('', str(error))}", WRITE) from error
    for where, complaint in _complaints(found):
        raise TrustError(f"{path}:{_line_of(text, where)}: {complaint}", WRITE)
    publishers = tuple(parse_publisher(one) for one in found.get(_PUBLISHERS, ()))
    accounts, publishing, fleet = (tuple(dict.fromkeys(found.get(key, ()))) for key in _LISTS)
    return Trust(accounts, publishing, fleet, publishers)


def to_toml(trust: Trust, notes: Mapping[str, str] | None = None) -> str:
    """Return the content of a trust file; `notes` become comments behind the values."""
    accounts = _list("account_thumbprints", trust.account_thumbprints, notes or {})
    keys = _list("publishing_keys", trust.publishing_keys, notes or {})
    return (
        f"{_HEADER}version = {_version_of(bool(trust.publishers))}\n\n"
        f"{_publishers_part(trust)}{_fleet_part(trust, notes or {})}"
        "# Answer the CA for these ACME accounts: RFC 7638 thumbprints of their keys.\n"
        f"{accounts}\n"
        "# Accept publications signed with these keys: base64url of the raw Ed25519 public keys.\n"
        f"{keys}"
    )


def _version_of(has_publishers: bool) -> int:
    return VERSION_WITH_PUBLISHERS if has_publishers else VERSION


def _publishers_part(trust: Trust) -> str:
    """Return inline tables, each in one line, since the tables of `[[publishers]]` would have to come last."""
    if not trust.publishers:
        return ""
    lines = [
        f"  {{ {', '.join(f'{key} = {json.dumps(value)}' for key, value in one.to_json().items())} }},\n"
        for one in trust.publishers
    ]
    return (
        "# Accept publications signed with these keys only for these accounts and names.\n"
        f"{_PUBLISHERS} = [\n{''.join(lines)}]\n\n"
    )


def _fleet_part(trust: Trust, notes: Mapping[str, str]) -> str:
    if not trust.fleet_keys:
        return ""
    return (
        "# Install certificates from issuers with these keys: base64url of the raw Ed25519 public keys.\n"
        f"{_list(_FLEET_KEYS, trust.fleet_keys, notes)}\n"
    )


def _read_bytes(path: Path) -> bytes:
    """Read a regular file, without waiting for the writer of a pipe."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123 - a descriptor
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise TrustError(f"{path} is not a regular file", f"Remove it. {WRITE}")
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise TrustError(f"{path} is longer than {MAX_BYTES} bytes", WRITE)
    return data


def _complaints(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what to look for in the text, and what is wrong with it."""
    for key in _REQUIRED:
        if key not in found:
            yield "", f"the key {key} is missing"
    version = _version_of(_PUBLISHERS in found)
    if type(found["version"]) is not int or found["version"] != version:
        part = "with" if _PUBLISHERS in found else "without"
        known = f"{version} {part} publishers"
        yield "version", f"version is {_shown(found['version'])}, this program reads version {known}"
    for key in sorted(found.keys() - set(_KEYS)):
        yield key, f"unknown key {_shown(key)}, expected {', '.join(_KEYS)}"
    yield from _of_list(found, "account_thumbprints", _check_thumbprint)
    yield from _of_list(found, "publishing_keys", decode_public_key)
    if _FLEET_KEYS in found:
        yield from _of_list(found, _FLEET_KEYS, decode_public_key)
    if _PUBLISHERS in found and (complaint := _of_publishers(found[_PUBLISHERS], found["publishing_keys"])):
        yield _PUBLISHERS, complaint


def _of_publishers(found: object, publishing_keys: list[str]) -> str:
    """Return what is wrong with the publishers; "" if nothing is."""
    if not isinstance(found, list) or not found:
        return f"{_PUBLISHERS} must be a non-empty list of tables"
    try:
        return find_conflict(map(parse_publisher, found), publishing_keys)
    except ValueError as error:
        return str(error)


def _of_list(found: dict[str, Any], key: str, check: Callable[[str], object]) -> Iterator[tuple[str, str]]:
    values = found[key]
    if not isinstance(values, list) or not values:
        yield key, f"{key} must be a non-empty list of strings"
    elif others := [value for value in values if not isinstance(value, str)]:
        yield key, f"{key} must contain strings only, not {_shown(others[0])}"
    else:
        yield from _of_strings(values, key, check)


def _of_strings(values: list[str], key: str, check: Callable[[str], object]) -> Iterator[tuple[str, str]]:
    for value in values:
        try:
            check(value)
        except ValueError as error:
            yield value, f"{_shown(value)} in {key}: {error}"


def _check_thumbprint(text: str) -> None:
    if wire.THUMBPRINT_PATTERN.fullmatch(text) is None:
        raise ValueError("expected 43 characters of base64url, an RFC 7638 thumbprint")


def _list(key: str, values: tuple[str, ...], notes: Mapping[str, str]) -> str:
    lines = [f'  "{value}",{f"  # {one_line(notes[value])}" if value in notes else ""}\n' for value in values]
    return f"{key} = [\n{''.join(lines)}]\n"


def _shown(value: object) -> str:
    return one_line(repr(value), _LONGEST_VALUE)


def _line_of(text: str, where: str) -> int:
    """Return the first line with this text outside a comment; the last line for a text that is not there."""
    lines = text.splitlines()
    found = (number for number, line in enumerate(lines, 1) if where and where in line.split("#")[0])
    return next(found, max(1, len(lines)))


def _last_line(data: bytes) -> int:
    return max(1, len(data.splitlines()))
