"""A host whose CA is behind a fault proxy, and checks of failed and successful passes."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from stand.fault_proxy import Fault, FaultProxy, Kind
from stand.host import Host, running_host
from tests.integration.observed import (
    fetch_counts,
    installed,
    issued,
    one_line,
    orders,
    served,
    served_unverified,
    tokens,
)

NAME: Final = "www.example.org"
OTHER_NAME: Final = "shop.example.org"
# On a busy machine the fetches alone can take longer than the quiet time.
MOST_PASSES: Final = 20


@dataclass(frozen=True, slots=True)
class Case:
    """A fault with the stage that fails and its message, a regular expression."""

    kind: Kind
    fault: Fault
    stage: str
    words: str
    times: int = 1
    after: int = 0


@dataclass(frozen=True, slots=True)
class Misbehaving:
    """One host and the proxy in front of its CA. Passes are forced, so that many of them can use one host."""

    host: Host
    proxy: FaultProxy

    async def fails(self, stage: str, words: str) -> str:
        """Run a pass that must fail; check status, message and clean-up, and return the message."""
        before = await served_unverified(self.host, NAME)
        finished = await self.host.issuer.run("renew", "--force")
        assert finished.exit_code == 1, finished
        reported = one_line(finished.out)
        assert re.match(rf"web: failed \({stage}\): .*{words}", reported), finished
        assert await tokens(self.host.responder) == 0
        assert await served_unverified(self.host, NAME) == before
        return reported

    async def serves(self) -> None:
        """Run a pass that must end with a new served certificate."""
        before = await served_unverified(self.host, NAME)
        finished = await self.host.issuer.run("renew", "--force")
        assert finished.exit_code == 0, finished
        assert await tokens(self.host.responder) == 0
        assert await served(self.host, NAME) == installed(self.host.issuer, "web") != before

    async def serves_until_counted(self, fetches: int, repeats: int) -> None:
        """Run passes until so many fetches before a verdict are on record, so often in a row.

        On a busy machine some fetches come late, and the count begins again.
        """
        for _ in range(MOST_PASSES):
            await self.serves()
            if fetch_counts(self.host.issuer) == [(fetches, repeats)]:
                return
        pytest.fail(f"{fetches} fetches were never counted {repeats} times in a row")

    async def fails_then_serves(self, case: Case) -> None:
        """Check that the fault is reported, leaves nothing published, and is over once the CA recovers."""
        self.proxy.heal()
        self.proxy.stage(case.kind, case.fault, times=case.times, after=case.after)
        await self.fails(case.stage, case.words)
        self.proxy.heal()
        await self.serves()

    def counts(self) -> tuple[int, int]:
        """Return the numbers of orders and certificates that the CA has made."""
        return orders(self.host.ca), issued(self.host.ca)


@asynccontextmanager
async def misbehaving(folder: Path, *names: str, **of_the_ca: Any) -> AsyncIterator[Misbehaving]:  # noqa: ANN401
    """Yield a host without a staged fault, whose CA does not misbehave by itself."""
    of_the_ca = {"nonces_rejected_percent": 0, **of_the_ca}
    async with running_host(folder, {"web": names or (NAME,)}, has_proxy=True, **of_the_ca) as host:
        assert host.proxy is not None
        yield Misbehaving(host, host.proxy)


def table(cases: dict[str, Case]) -> pytest.MarkDecorator:
    """Parametrize a test with one case per row."""
    return pytest.mark.parametrize("case", cases.values(), ids=cases.keys())
