"""A host whose CA is behind a fault proxy, and what a pass over it must have shown when it failed and when it ended."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from stand.fault_proxy import Fault, FaultProxy, Kind
from stand.host import Host, running_host
from tests.integration.observed import installed, issued, one_line, orders, served, served_unverified, tokens

NAME: Final = "www.example.org"
OTHER_NAME: Final = "shop.example.org"


@dataclass(frozen=True, slots=True)
class Case:
    """A fault, and what the pass says: the stage that failed and its words (a regular expression)."""

    kind: Kind
    fault: Fault
    stage: str
    words: str
    times: int = 1
    after: int = 0


@dataclass(frozen=True, slots=True)
class Misbehaving:
    """One host and the proxy before its CA. Passes are forced, so that one host does for many of them."""

    host: Host
    proxy: FaultProxy

    async def fails(self, stage: str, words: str) -> str:
        """One pass: its exit status, its sentence, and that nothing is left of it."""
        before = await served_unverified(self.host, NAME)
        finished = await self.host.issuer.run("renew", "--force")
        assert finished.exit_code == 1, finished
        reported = one_line(finished.out)
        assert re.match(rf"web: failed \({stage}\): .*{words}", reported), finished
        assert await tokens(self.host.responder) == 0
        assert await served_unverified(self.host, NAME) == before
        return reported

    async def serves(self) -> None:
        """One pass that ends with a new certificate that nginx serves."""
        before = await served_unverified(self.host, NAME)
        finished = await self.host.issuer.run("renew", "--force")
        assert finished.exit_code == 0, finished
        assert await tokens(self.host.responder) == 0
        assert await served(self.host, NAME) == installed(self.host.issuer, "web") != before

    async def fails_then_serves(self, case: Case) -> None:
        """The whole life of a fault: told, nothing left published, and over once the CA is well again."""
        self.proxy.heal()
        self.proxy.stage(case.kind, case.fault, times=case.times, after=case.after)
        await self.fails(case.stage, case.words)
        self.proxy.heal()
        await self.serves()

    def counts(self) -> tuple[int, int]:
        """Orders and certificates that the CA made so far."""
        return orders(self.host.ca), issued(self.host.ca)


@asynccontextmanager
async def misbehaving(folder: Path, *names: str, **of_the_ca: Any) -> AsyncIterator[Misbehaving]:  # noqa: ANN401
    """Nothing is staged yet; the CA has no whims of its own."""
    of_the_ca = {"nonces_rejected_percent": 0, **of_the_ca}
    async with running_host(folder, {"web": names or (NAME,)}, has_proxy=True, **of_the_ca) as host:
        assert host.proxy is not None
        yield Misbehaving(host, host.proxy)


def table(cases: dict[str, Case]) -> pytest.MarkDecorator:
    """One test a row."""
    return pytest.mark.parametrize("case", cases.values(), ids=cases.keys())
