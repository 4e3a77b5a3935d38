"""Certificates on disk and in the state, for status, why and list, and the lines printed by status."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from tests.fakes_deliver import dns
from tests.issuer.commands.conftest import UNREACHABLE_CA, Program
from wellkeeper_issuer.model import Attempt
from wellkeeper_issuer.outside.state.state import State, open_state
from wellkeeper_issuer.records import Check, Failure, Rule, Schedule, Seen, Window
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.errors import Retry
from wellkeeper_node.model import Flip, Pair

NAME: Final = "a.example"
NOW: Final = datetime.now(UTC).replace(microsecond=0)
HOUR: Final = timedelta(hours=1)
UNTIL: Final = NOW - HOUR + timedelta(days=90)
RENEWED: Final = NOW - HOUR + timedelta(days=60)
ATTEMPT: Final = Attempt(NAME, UNREACHABLE_CA, (dns(NAME),), b"key", b"csr")
FAILURE: Final = Failure(
    NAME, 2, "order", "no", Retry.LATER, NOW - 2 * HOUR, NOW - HOUR, NOW + HOUR, problem="rateLimited"
)
DATES: Final = f"{UNTIL:%Y-%m-%d} (89 days)  {RENEWED:%Y-%m-%d}"
LIMITED: Final = f"""
[[cas]]
name = "test"
directory = "{UNREACHABLE_CA}"
limits = [
    {{ spent = "order", scope = "account", count = 3, seconds = 3600 }},
    {{ spent = "order", scope = "identifier", count = 10, seconds = 3600 }},
]
"""


def schedule(version: str) -> Schedule:
    """Return a schedule with a window of the CA and an explanation."""
    return Schedule(
        lineage=NAME,
        version=version,
        identifiers=frozenset({dns(NAME)}),
        not_before=NOW - HOUR,
        not_after=UNTIL,
        directory_url=UNREACHABLE_CA,
        account_url="",
        certificate_id="a.b",
        rule=Rule.ARI,
        renew_at=RENEWED,
        ask_at=NOW + HOUR,
        window=Window(RENEWED - HOUR, RENEWED + HOUR),
        explanation_url="https://ca.example/why",
    )


def install(program: Program, pair: Pair) -> str:
    """Install the pair and return its version."""
    folders = CertificateFolders(program.certificates_dir)

    async def work() -> str:
        version = await folders.write(NAME, pair)
        await folders.switch(NAME, version)
        return version

    return asyncio.run(work())


def write(program: Program, fill: Callable[[State], Awaitable[None]]) -> None:
    async def work() -> None:
        async with open_state(program.state_dir / "state.db", may_write=True) as state:
            await fill(state)

    program.make_keys()
    asyncio.run(work())


def record(
    program: Program,
    version: str,
    *,
    is_reloaded: bool = False,
    is_served: bool = False,
    is_under_way: bool = False,
) -> None:
    """Record a version as a pass that installed it does."""

    async def fill(state: State) -> None:
        await state.attempts.record_attempt(ATTEMPT)
        await state.deliveries.record_flip(Flip(NAME, None, version))
        if is_reloaded:
            await state.deliveries.record_reloaded([NAME])
        if is_served:
            await state.deliveries.record_served(NAME)
            await state.deliveries.record_check(Check(NAME, version, Seen.SERVED, NOW, served_version=version))
            await state.notes.forget_owed_hook(NAME)
        if is_under_way:
            await state.attempts.record_attempt(ATTEMPT)

    write(program, fill)


def shown(program: Program) -> list[str]:
    """Return all lines of status but the one about nginx, which these tests do not run."""
    finished = program.run("status")
    assert finished.exit_code == 0
    return [one for one in finished.out.splitlines() if not one.startswith("nginx: ")]


def line(program: Program) -> str:
    """Return the line of the only certificate, with its columns separated by two spaces."""
    counts, titles, found, *_ = shown(program)
    assert counts.startswith("1 certificate: 1 ")
    assert titles.split() == ["STATE", "NAME", "EXPIRES", "RENEWS", "NOTE"]
    return re.sub(" {3,}", "  ", found)
