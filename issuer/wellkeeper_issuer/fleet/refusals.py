"""The records that the relay refused. It answers, so this is not an outage; each reason is logged once."""

import logging
from collections.abc import Iterable, Mapping

from wellkeeper_node.errors import RecordRefusedError

_log = logging.getLogger(__name__)


class Refusals:
    """By key: a newer version of a record may be taken."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, RecordRefusedError]] = {}
        self._logged: dict[str, str] = {}

    def add(self, key: str, version: str, error: RecordRefusedError) -> None:
        self._found[key] = version, error

    def of(self, key: str, version: str | None) -> RecordRefusedError | None:
        """Return why the relay refused this version, if it did."""
        refused, error = self._found.get(key, ("", None))
        return error if version == refused else None

    def refused(self) -> list[str]:
        return list(self._found)

    def forget(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._found.pop(key, None)

    def log(self, wanted: Mapping[str, str]) -> None:
        """Log the first of the refusals that are new, and how many there are; `wanted` are versions by key."""
        found = {key: str(error) for key in self._found if (error := self.of(key, wanted.get(key)))}
        new = [key for key, text in found.items() if self._logged.get(key) != text]
        if new:
            more = f" ({len(new) - 1} more records were refused)" if len(new) > 1 else ""
            _log.error("nodes do not get a record: %s%s", found[new[0]], more)
        self._logged = found
