"""Warn of what others wrote among the records in an engine: it is ignored, and could hide what the issuer stored."""

import logging
from collections.abc import Callable
from typing import Final

from wellkeeper_client.foreign_text import one_line
from wellkeeper_node.records import engine_keys
from wellkeeper_node.records.engine_calls import EngineCalls

_log = logging.getLogger(__name__)

_LONGEST_NAME: Final = 60


def _warn(cause: str, remedy: str) -> None:
    _log.warning("%s. %s", cause, remedy)


class Strangers:
    """Reports one entry for each kind of record, because an attacker could fill the log."""

    def __init__(self, calls: EngineCalls, tell: Callable[[str, str], None] = _warn) -> None:
        self._calls = calls
        self._tell = tell
        self._known: set[str] = set()

    def ignore(self, name: str, why: str) -> None:
        """Report a record or a directory, unless one of its kind was reported."""
        kind = name.partition("/")[0]
        if kind in self._known:
            return
        self._known.add(kind)
        engine, key, epoch = self._calls.name, self._calls.key(name), self._calls.key(engine_keys.EPOCH)
        self._tell(
            f"{engine} has other entries among the records: {one_line(name, _LONGEST_NAME)}: {why}. They are ignored",
            "If the issuer is newer than Wellkeeper here, upgrade this host. Otherwise change the engine's passwords, "
            f"then delete {one_line(key, _LONGEST_NAME)} and {epoch} in the engine: "
            "the issuer stores its records again.",
        )
