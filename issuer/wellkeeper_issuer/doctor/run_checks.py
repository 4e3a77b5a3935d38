"""Run checks beside each other, each bounded in time; a bug in one of them is a finding, and the others still run."""

import asyncio
import traceback
from collections.abc import Sequence
from typing import Final, Protocol

from wellkeeper_issuer.doctor.checks import Check, Context, NotCheckedError
from wellkeeper_node.doctor.of_errors import of_error
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.findings import Finding, Verdict

# A check is a few requests or commands; more at once would make a small host slow.
_AT_ONCE: Final = 8
_OFFLINE: Final = "it needs the network, and this run is offline"
_SLOW: Final = "Find out what hangs (a file system, a server, an overloaded host), then run 'wellkeeper doctor' again."
_BUG: Final = "This is a bug in Wellkeeper. Please report it with the output of 'wellkeeper doctor --json'."


class Watcher(Protocol):
    """Follows which checks run."""

    def started(self, check: str) -> None: ...

    def ended(self, check: str) -> None: ...


class NoWatcher:
    """Implements `Watcher`: does nothing."""

    def started(self, check: str) -> None:
        """Do nothing."""

    def ended(self, check: str) -> None:
        """Do nothing."""


async def run_checks(
    checks: Sequence[Check[Context]], context: Context, watcher: Watcher, *, is_offline: bool = False
) -> list[Finding]:
    """Return the findings in the order of the checks. Cancellable at any time."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def run_in_slot(check: Check[Context]) -> Sequence[Finding]:
        if is_offline and check.needs_network:
            return _skipped(check.ids, _OFFLINE)
        async with slots:
            watcher.started(check.name)
            try:
                return await _run(check, context)
            finally:
                watcher.ended(check.name)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run_in_slot(check)) for check in checks]
    return [finding for task in tasks for finding in task.result()]


async def _run(check: Check[Context], context: Context) -> Sequence[Finding]:
    limit = asyncio.timeout(check.seconds)
    try:
        async with limit:
            return await check.run(context)
    except NotCheckedError as error:
        return _skipped(check.ids, str(error))
    except WellkeeperError as error:
        return _failed(check, of_error(check.name, error))
    except Exception as error:  # noqa: BLE001 - a bug in one check must not hide what the others find
        if isinstance(error, TimeoutError) and limit.expired():
            cause = f"no answer within {check.seconds:g} s"
            return _failed(check, Finding(check.name, Verdict.FAIL, "", cause, _SLOW))
        cause = f"internal error: {error!r}"
        return _failed(check, Finding(check.name, Verdict.FAIL, "", cause, _BUG, _origin(error)))


def _failed(check: Check[Context], failure: Finding) -> Sequence[Finding]:
    """Return the failure of the first id; the others are skipped, since nothing is known about them."""
    return [failure, *_skipped(check.ids[1:], f"not checked: {check.name} explains it")]


def _skipped(ids: Sequence[str], reason: str) -> Sequence[Finding]:
    return [Finding(one, Verdict.SKIPPED, "", reason) for one in ids]


def _origin(error: Exception) -> str:
    """Return where the error was raised, as `FILE:LINE`."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}:{last.lineno}"
