"""A host with a long series of faults: one daemon, to whose settings a certificate is added for each fault."""

import asyncio
import json
import resource
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from stand.daemon import IssuerDaemon
from stand.fault_proxy import FaultProxy, Kind
from stand.faults import changed
from stand.host import Host, running_host
from stand.processes import StandError
from tests.integration.observed import error_of, installed, outcomes, served_unverified
from tests.opened_cas import opened_connection
from wellkeeper_issuer.outside.ca.options import CaOptions
from wellkeeper_issuer.outside.ca.revocation import Reason, revoke
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_node.clock import SystemClock

BLOCKED: Final = "blocked-domain.example"
# Renewal infos are requested again after this time: the shortest interval that RFC 9773 section 4.3.2 asks for.
ASKED_AGAIN_SECONDS: Final = 60
# Longest wait for actions that the daemon takes by itself after a minute.
_LONGEST_SECONDS: Final = 100.0


@dataclass
class Day:
    """A running day; `kept` has the configured certificates, certificate `x` is for `x.example.org`."""

    host: Host
    proxy: FaultProxy
    daemon: IssuerDaemon
    hook_fails: Path
    kept: list[str] = field(default_factory=list)

    async def add(self, *names: str) -> None:
        """Add certificates, which have only placeholders, to the settings and reload the daemon."""
        self.kept += names
        await self.configure()
        await self.host.issuer.run_well("reload")

    async def drop(self, name: str) -> None:
        self.kept.remove(name)
        await self.configure()
        await self.host.issuer.run_well("reload")

    async def configure(self) -> None:
        certificates = {name: [identifier(name)] for name in self.kept}
        self.host.issuer.configure(replace(self.host.issuer_settings, certificates=certificates))

    async def failed(self, name: str) -> str:
        """Wait for the daemon's own attempt to fail, and return its message with the time of the next one."""
        reported = await self.reported("error", f"certificate {name}: failed: ")
        assert "(next try at " in reported, reported
        return reported

    async def obtained(self, name: str) -> None:
        """Wait until the daemon has obtained the certificate by itself."""
        await self.reported("info", f"certificate {name}: served")
        await self.is_served(name)

    async def retried(self, name: str, outcome: str = "served") -> None:
        """Ask the daemon to retry at once, which skips the wait after a failure."""
        finished = await self.host.issuer.run("renew", name, "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {name: outcome}), f"{finished}{self.daemon.log}"
        await self.is_served(name)

    async def waits(self, name: str) -> None:
        """Check that a renewal without names waits and does not reach the CA."""
        before = len(self.proxy.asked)
        finished = await self.host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)[name]) == (1, "waiting"), finished
        assert len(self.proxy.asked) == before

    async def fails_again(self, name: str) -> str:
        """Ask the daemon to retry at once, with the fault still present, and return the error."""
        finished = await self.host.issuer.run("renew", name, "--json")
        assert (finished.exit_code, outcomes(finished)) == (1, {name: "failed"}), finished
        return error_of(finished, name)

    async def is_served(self, name: str) -> None:
        assert await served_unverified(self.host, identifier(name)) == installed(self.host.issuer, name)

    async def reported(self, level: str, beginning: str) -> str:
        """Wait for a message and remove it; other messages stay for later calls."""
        deadline = time.monotonic() + _LONGEST_SECONDS
        while time.monotonic() < deadline:
            for event in self.daemon.events:
                if event.get("level") == level and event.get("detail", "").startswith(beginning):
                    self.daemon.events.remove(event)
                    return str(event["detail"])
            await asyncio.sleep(0.05)
        raise StandError(f"the daemon did not report {beginning!r}: {self.daemon.log}")

    def orders(self) -> list[dict[str, Any]]:
        """Return the payloads of newOrder that reached the CA or its fault proxy."""
        return [one.payload() for one in self.proxy.asked if one.kind is Kind.NEW_ORDER]

    async def revoke_elsewhere(self, name: str) -> None:
        """Revoke the certificate with its key, without the daemon's knowledge."""
        live, url = self.host.issuer.live(name), self.host.ca.directory_url
        chain_pem, key_pem = (live / "cert.pem").read_bytes(), (live / "privkey.pem").read_bytes()
        options = CaOptions("pebble", url, bundle=str(self.host.ca.ca_bundle))
        accounts = AccountFolder(self.host.issuer.state_dir, (url,))
        async with opened_connection(options, accounts, SystemClock()) as connection:
            assert await revoke(connection, chain_pem, Reason.keyCompromise, key_pem)

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Make the kernel refuse all file writes of the daemon, as on a full disk or quota."""
        before = resource.prlimit(self.daemon.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.daemon.pid, resource.RLIMIT_FSIZE, (0, before[1]))
        try:
            yield
        finally:
            resource.prlimit(self.daemon.pid, resource.RLIMIT_FSIZE, before)


def identifier(name: str) -> str:
    return f"{name}.{BLOCKED if name == 'refused' else 'example.org'}"


@asynccontextmanager
async def long_day(folder: Path, names: list[str], first: str) -> AsyncIterator[Day]:
    """Start the daemon with `first` in its settings and the CA away; all names have placeholders and server blocks."""
    async with running_host(folder, {name: [identifier(name)] for name in names}, has_proxy=True) as started:
        proxy = started.proxy
        assert proxy is not None
        proxy.stage(Kind.RENEWAL_INFO, changed(lambda _: None, Retry_After=str(ASKED_AGAIN_SECONDS)), times=10_000)
        hook_fails = folder / "hook-fails"
        hook = ["sh", "-c", f"test ! -e {hook_fails} || {{ echo no such balancer >&2; exit 3; }}"]
        more = (f"hooks.deploy = {json.dumps(hook)}",)
        settings = replace(started.issuer_settings, reload_interval_seconds=0.0, more=more)
        started.issuer.configure(replace(settings, certificates={first: [identifier(first)]}))
        await proxy.leave()
        async with IssuerDaemon(started.issuer) as daemon:
            yield Day(replace(started, issuer_settings=settings), proxy, daemon, hook_fails, [first])
