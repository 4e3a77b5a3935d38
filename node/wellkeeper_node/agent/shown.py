"""The last report of this node, and its contact with relays, in a file that `wellkeeper-node status` reads."""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from wellkeeper_node import durable
from wellkeeper_node.agent.report import Report, parse_report
from wellkeeper_node.errors import FleetError
from wellkeeper_node.start import STATUS_FILE

_log = logging.getLogger(__name__)

_MODE: Final = 0o644


@dataclass(frozen=True, slots=True)
class Shown:
    """A report, and by relay why there is no contact with it ("" if there is), and when there was, in UNIX time."""

    report: Report
    relays: Mapping[str, str]
    contacts: Mapping[str, float | None] = field(default_factory=dict)


class StatusFile:
    """The file in `state_dir`. What cannot be written is logged once: the report itself goes to the relays."""

    def __init__(self, node: str, state_dir: Path) -> None:
        self._node = node
        self._path = state_dir / STATUS_FILE
        self._is_failing = False

    async def write(self, shown: Shown) -> None:
        found = {"report": shown.report.to_json(), "relays": dict(shown.relays), "contacts": dict(shown.contacts)}
        text = json.dumps(found).encode()
        try:
            await durable.to_its_end(lambda: durable.replace_whole(self._path, text, _MODE))
        except OSError as error:
            if not self._is_failing:
                _log.warning("cannot write %s: %s", self._path, error.strerror)
            self._is_failing = True
        else:
            self._is_failing = False

    async def read(self) -> Shown | None:
        """Return what the agent wrote last; None when it has never run. Raises FleetError."""
        try:
            found: Any = json.loads(await asyncio.to_thread(self._path.read_bytes))
            return Shown(
                parse_report(self._node, found["report"]), dict(found["relays"]), dict(found.get("contacts", {}))
            )
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise FleetError(f"cannot read {self._path}", "permission denied", "Run the command as root.") from error
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise FleetError(f"cannot read {self._path}", str(error), "Restart wellkeeper-node.") from error
