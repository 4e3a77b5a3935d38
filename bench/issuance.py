"""Measurement: one renewal, by the whole command and by a running daemon, beside certbot: its time and memory."""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.certbot import running_certbot
from bench.figures import Plan, Result, Series, Tell, at_most, find, ratio_at_most
from bench.renewals import DISK, HOW_SERVED, MEMORY, SERVED, Renewal, of_certbot, of_issuer, renewed, to_series
from bench.responder import peak_mib
from stand.daemon import IssuerDaemon
from stand.host import Host, running_host

NAME: Final = "issuance"
WHOLE: Final = "wellkeeper"
BY_DAEMON: Final = "wellkeeper, by the daemon"
_IDENTIFIERS: Final = {
    WHOLE: "wellkeeper.bench.test",
    BY_DAEMON: "daemon.bench.test",
    "certbot": "certbot.bench.test",
}
# Uncounted: accounts, the daemon's imports, and whatever an issuer learns from the first validations of a CA.
_WARM_UPS: Final = 4
_HOW: Final = (
    "Whole processes, one name, an ECDSA key, a new order with a new authorization each time; Pebble validates at "
    "once, names no Retry-After and rejects no nonce. By the daemon: `renew NAME` while `wellkeeper run`, which "
    "has renewed before, runs on an equal host; without a pause between two reloads."
)
_MEMORY: Final = (
    "Memory is the peak of the started process (VmHWM in `/proc/PID/status`, read every 4 ms), without nginx and "
    "hooks; of the daemon since its start."
)


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Measure all in each round, with an equal Pebble and nginx for each."""
    whole, by_daemon = _IDENTIFIERS[WHOLE], _IDENTIFIERS[BY_DAEMON]
    found: dict[str, list[Renewal]] = defaultdict(list)
    async with (
        running_host(folder, {whole: (whole,)}, nonces_rejected_percent=0, retry_after_seconds=0) as host,
        _running_daemon(folder, by_daemon) as (daemon_host, daemon),
        running_certbot(folder / "certbot", host, _IDENTIFIERS["certbot"]) as certbot,
    ):
        tell(f"issuance: {_WARM_UPS} renewals each, which are not counted")
        ours = [of_issuer(WHOLE, host, whole), of_issuer(BY_DAEMON, daemon_host, by_daemon)]
        for subject in ours * _WARM_UPS:
            await renewed(subject)
        subjects = [*ours, await of_certbot(certbot)]
        for number in range(plan.rounds):
            tell(f"issuance: round {number + 1} of {plan.rounds}")
            for subject in subjects:
                found[subject.name].append(await renewed(subject))
        return _result(found, peak_mib(daemon.pid))


@asynccontextmanager
async def _running_daemon(folder: Path, identifier: str) -> AsyncIterator[tuple[Host, IssuerDaemon]]:
    (folder / "daemon").mkdir()
    certificates = {identifier: (identifier,)}
    async with running_host(folder / "daemon", certificates, nonces_rejected_percent=0, retry_after_seconds=0) as host:
        # The next round begins sooner than a daemon would reload nginx again.
        host.issuer.configure(replace(host.issuer_settings, reload_interval_seconds=0.0))
        async with IssuerDaemon(host.issuer) as daemon:
            yield host, daemon


def _result(found: dict[str, list[Renewal]], daemon_mib: float) -> Result:
    series = [
        *to_series(SERVED, "s", {name: [one.served for one in values] for name, values in found.items()}),
        *to_series(DISK, "s", {name: [one.on_disk for one in values] for name, values in found.items()}),
        *to_series(MEMORY, "MiB", {name: [one.mib for one in values] for name, values in found.items()}),
        Series(MEMORY, "the daemon", "MiB", (daemon_mib,)),
    ]
    limits = {(SERVED, WHOLE): 0.22, (DISK, WHOLE): 0.17, (SERVED, BY_DAEMON): 0.12, (DISK, BY_DAEMON): 0.07}
    goals = [
        *(ratio_at_most(find(series, *one), find(series, one[0], "certbot"), limit) for one, limit in limits.items()),
        *(at_most(find(series, MEMORY, name), 50) for name in (WHOLE, BY_DAEMON)),
    ]
    return Result(NAME, "Time to certificate", tuple(series), tuple(goals), (_HOW, HOW_SERVED, _MEMORY))
