"""How nouns stand in rows: times as seconds since the epoch, identifiers as JSON."""

import json
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Final

from issuer.model import Identifier, IdentifierType

_FEW: Final = 500


def from_time(at: datetime | None) -> float | None:
    """Exact to the microsecond, as `to_time` is."""
    return None if at is None else at.timestamp()


def to_time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def to_time_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def of_lineages(among: Collection[str] | None) -> tuple[str, tuple[str, ...]]:
    """What follows a SELECT, and its values; for many, everything is read as quickly."""
    if among is None or len(among) > _FEW:
        return "", ()
    return f" WHERE lineage IN ({', '.join('?' * len(among))})", tuple(among)


def from_identifiers(identifiers: Iterable[Identifier]) -> str:
    return json.dumps([[identifier.type.value, identifier.value] for identifier in identifiers])


def to_identifiers(text: str) -> tuple[Identifier, ...]:
    """Raises ValueError."""
    return tuple(Identifier(IdentifierType(kind), value) for kind, value in json.loads(text))
