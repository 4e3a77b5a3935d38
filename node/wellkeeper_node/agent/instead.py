"""A certificate that clients of a node get instead of the newest version, as the node found it by handshake. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from wellkeeper_node.agent import members

_LONGEST_SERIAL: Final = 64


class Got(StrEnum):
    """The leaf that clients get.

    NEWEST: the version of the manifest, though it was not delivered without an error. OLDER: another version of the
    same certificate. PLACEHOLDER: a self-signed one. OTHER: a certificate of someone else for the same names.
    UNRELATED: one for other names. NOTHING: nginx refuses the handshake, or does not answer.
    """

    NEWEST = "newest"
    OLDER = "older"
    PLACEHOLDER = "placeholder"
    OTHER = "other"
    UNRELATED = "unrelated"
    NOTHING = "nothing"

    @property
    def words(self) -> str:
        return _WORDS[self]


_WORDS: Final[Mapping[Got, str]] = {
    Got.NEWEST: "the newest version",
    Got.OLDER: "an older version",
    Got.PLACEHOLDER: "a placeholder",
    Got.OTHER: "another certificate",
    Got.UNRELATED: "a certificate for other names",
    Got.NOTHING: "no certificate",
}


@dataclass(frozen=True, slots=True)
class Instead:
    """The leaf that clients get, and since which check. Times are UNIX seconds; `number` is that of a known version."""

    what: Got
    since: float
    number: int | None = None
    serial: str = ""
    not_before: float | None = None
    not_after: float | None = None

    def is_same(self, other: "Instead | None") -> bool:
        """Return whether clients get the same."""
        return other is not None and (self.what, self.serial) == (other.what, other.serial)

    @property
    def words(self) -> str:
        """Name it, with what tells it apart: `version 2, serial 0a1b`."""
        name = f"version {self.number}" if self.what is Got.OLDER and self.number is not None else self.what.words
        return f"{name}, serial {self.serial}" if self.serial else name

    @property
    def since_at(self) -> datetime:
        return _at(self.since)

    @property
    def not_before_at(self) -> datetime | None:
        return None if self.not_before is None else _at(self.not_before)

    @property
    def not_after_at(self) -> datetime | None:
        return None if self.not_after is None else _at(self.not_after)

    def to_json(self) -> dict[str, Any]:
        return {
            "what": self.what.value,
            "since": self.since,
            "number": self.number,
            "serial": self.serial,
            "not_before": self.not_before,
            "not_after": self.not_after,
        }


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def parse_instead(found: Mapping[str, Any]) -> Instead | None:
    """Return the member `instead` of a certificate's report; None without one, and for a kind of a later version.

    Raises ValueError.
    """
    if found.get("instead") is None:
        return None
    inner = members.member(found, "instead", dict)
    what = members.text(inner, "what")
    if what not in Got.__members__.values():
        return None
    return Instead(
        Got(what),
        members.time(inner, "since"),
        members.number_or_none(inner, "number"),
        members.text(inner, "serial", _LONGEST_SERIAL),
        members.time_or_none(inner, "not_before"),
        members.time_or_none(inner, "not_after"),
    )
