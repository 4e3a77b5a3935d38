"""Warn of what others wrote among the records in an engine: it is ignored, and could hide what the issuer stored."""

import logging
from typing import Final

from wellkeeper_client.foreign_text import one_line
from wellkeeper_node.records import engine_keys
from wellkeeper_node.records.engine_calls import EngineCalls

_log = logging.getLogger(__name__)

_LONGEST_NAME: Final = 60


class Strangers:
    """Warns once for each kind of record, since an attacker could fill the log."""

    def __init__(self, calls: EngineCalls) -> None:
        self._calls = calls
        self._known: set[str] = set()

    def ignore(self, name: str, why: str) -> None:
        """Warn of a record or a directory."""
        kind = name.partition("/")[0]
        if kind in self._known:
            return
        self._known.add(kind)
        _log.warning(
            "%s has other entries among the records: %s: %s. They are ignored. If the issuer is newer than Wellkeeper "
            "here, upgrade this host. Otherwise change the engine's passwords, then delete %s and %s in the engine: "
            "the issuer stores its records again.",
            self._calls.name,
            one_line(name, _LONGEST_NAME),
            why,
            one_line(self._calls.key(name), _LONGEST_NAME),
            self._calls.key(engine_keys.EPOCH),
        )
