"""Publishers: other ACME clients with a publishing key of their own, and the accounts and names it is limited to.

A name in `identifiers` stands for itself, `*.example.org` for every name below example.org at any depth, but not for
example.org. docs/design/0037-publishers.md says why.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from wellkeeper_client import wire
from wellkeeper_client.json_values import parse_texts
from wellkeeper_client.signing import decode_public_key

NAME_PATTERN: Final = re.compile("[a-z0-9_][a-z0-9._-]{0,63}")
_MEMBERS: Final = ("name", "account_thumbprints", "publishing_keys", "identifiers")
_WILDCARD: Final = "*."
_HOST: Final = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[^:\[\]]+))(?::[0-9]{0,5})?")


@dataclass(frozen=True, slots=True)
class Publisher:
    """RFC 7638 thumbprints, base64url of raw Ed25519 public keys, and names; each list has at least one value."""

    name: str
    account_thumbprints: tuple[str, ...]
    publishing_keys: tuple[str, ...]
    identifiers: tuple[str, ...]

    def __str__(self) -> str:
        keys, accounts = ", ".join(self.publishing_keys), ", ".join(self.account_thumbprints)
        return f"{self.name} with key {keys} publishes for {', '.join(self.identifiers)} and accounts {accounts}"

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "account_thumbprints": list(self.account_thumbprints),
            "publishing_keys": list(self.publishing_keys),
            "identifiers": list(self.identifiers),
        }

    def may_publish_for(self, identifier: str) -> bool:
        """Return whether the identifier of a publication, in any spelling, is one of its names."""
        found = canonical_identifier(identifier)
        labels = found.split(".")
        if not found.isascii() or "" in labels or "*" in found:
            return False
        patterns = {_WILDCARD + ".".join(labels[index:]) for index in range(1, len(labels))}
        return any(one == found or one in patterns for one in self.identifiers)


def parse_publisher(found: object) -> Publisher:
    """Reverse `Publisher.to_json`. Raises ValueError."""
    if not isinstance(found, Mapping) or found.keys() != set(_MEMBERS):
        raise ValueError(f"a publisher must have {', '.join(_MEMBERS)}, and nothing else")
    name = found["name"]
    if not isinstance(name, str) or NAME_PATTERN.fullmatch(name) is None:
        raise ValueError(f"the publisher's name {name!r:.60} must have 1 to 64 characters: a-z, 0-9, '.', '_' and '-'")
    accounts, keys, identifiers = (_texts(found[member], f"{name}: {member}") for member in _MEMBERS[1:])
    if not all(map(wire.THUMBPRINT_PATTERN.fullmatch, accounts)):
        raise ValueError(f"{name}: account_thumbprints must be RFC 7638 thumbprints, 43 characters of base64url")
    for key in keys:
        decode_public_key(key)
    for one in identifiers:
        if (
            wire.IDENTIFIER_PATTERN.fullmatch(one) is None
            or canonical_identifier(one) != one
            or "*" in one.removeprefix(_WILDCARD)
        ):
            raise ValueError(f"{name}: {one!r:.60} is neither a name in lower case, nor '*.NAME', nor an IP address")
    return Publisher(name, accounts, keys, identifiers)


def find_conflict(publishers: Iterable[Publisher], publishing_keys: Iterable[str]) -> str:
    """Return why these cannot be trusted together: a name or a key that occurs twice; "" if they can."""
    owners = dict.fromkeys(publishing_keys, "the issuer")
    names: set[str] = set()
    for one in publishers:
        if one.name in names:
            return f"two publishers are named {one.name!r}"
        names.add(one.name)
        for key in one.publishing_keys:
            if owners.setdefault(key, one.name) != one.name:
                return f"the publishing key {key} of {one.name} is also that of {owners[key]}"
    return ""


def canonical_identifier(text: str) -> str:
    """Return the one spelling of a name (lower case, no trailing dot) or IP address (compressed, no brackets)."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return ipaddress.ip_address(bare).compressed
    except ValueError:
        return text.lower().removesuffix(".") if text.isascii() else text


def is_host_of(host: str | None, identifier: str) -> bool:
    """Return whether a request with this `Host` (RFC 9110 section 7.2) is for the identifier; the port is ignored."""
    if host is None or not host.isascii():
        return False
    found = _HOST.fullmatch(host.lower())
    return found is not None and canonical_identifier(found["v6"] or found["name"]) == canonical_identifier(identifier)


def _texts(found: object, name: str) -> tuple[str, ...]:
    texts = parse_texts(found, name)
    if not texts:
        raise ValueError(f"{name} must not be empty")
    return tuple(dict.fromkeys(texts))
