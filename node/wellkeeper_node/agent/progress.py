"""Log what happens to certificates on this node."""

import logging

_log = logging.getLogger(__name__)


class LoggedProgress:
    """Implements `ports.Progress`."""

    def started(self, lineage: str, stage: str) -> None:
        _log.debug("%s: %s", lineage, stage)

    def finished(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        _log.info("%s: %s done after %.3f s: %s", lineage, stage, seconds, detail)

    def failed(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        _log.warning("%s: %s failed after %.3f s: %s", lineage, stage, seconds, detail)

    def note(self, lineage: str, text: str) -> None:
        _log.info("%s: %s", lineage, text)
