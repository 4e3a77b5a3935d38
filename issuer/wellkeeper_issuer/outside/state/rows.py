"""Convert values for rows and back: times to seconds since the epoch, identifiers to JSON."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime

from wellkeeper_issuer.outside.state.database import Statement
from wellkeeper_node.model import Identifier, IdentifierType


def put_row(table: str, **values: object) -> Statement:
    """Return the statement that writes a row; it replaces one with the same key."""
    columns, places = ", ".join(values), ", ".join("?" * len(values))
    return f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({places})", tuple(values.values())  # noqa: S608


def from_time(at: datetime | None) -> float | None:
    """Return seconds since the epoch, exact to the microsecond."""
    return None if at is None else at.timestamp()


def to_time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def to_time_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def from_identifiers(identifiers: Iterable[Identifier]) -> str:
    return json.dumps([[identifier.type.value, identifier.value] for identifier in identifiers])


def to_identifiers(text: str) -> tuple[Identifier, ...]:
    """Parse what `from_identifiers` returned. Raises ValueError."""
    return tuple(Identifier(IdentifierType(kind), value) for kind, value in json.loads(text))
