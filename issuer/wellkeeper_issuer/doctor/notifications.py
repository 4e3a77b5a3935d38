"""Check that targets accept notifications, as the last tries showed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from wellkeeper_issuer.messages import Backlog
from wellkeeper_issuer.status.targets import Targets, long_failing
from wellkeeper_node.findings import Finding, Verdict

ID: Final = "notifications"


async def check_notifications(targets: Targets, now: datetime) -> Sequence[Finding]:
    """Return `notifications`: no target has failed for an hour."""
    late = long_failing(targets, now)
    return [_late(name, one) if name in late else _fine(name) for name, one in targets.items()]


def _late(name: str, one: Backlog) -> Finding:
    cause = one.error.rstrip(".")
    return Finding(ID, Verdict.FAIL, name, cause, f"Correct its settings, then run 'wellkeeper notify test {name}'.")


def _fine(name: str) -> Finding:
    return Finding(ID, Verdict.OK, name, "no notification has failed for an hour")
