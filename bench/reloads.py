"""Measurement: reloads under load, each with a new certificate, and their effect on new and kept-alive connections.

With the system's nginx, the newest one, and the newest one with `keepalive_min_timeout`.
"""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bench.figures import Goal, Plan, Result, Series, Tell
from stand.host import Host, running_host
from stand.load import Counts, Load, Target, unverified_tls
from stand.nginx import nginx_version
from stand.processes import StandError

NAME: Final = "reloads"
_NAME: Final = "reloads.bench.test"
_CLIENTS: Final = 8
# stand/nginx.py reads it.
_CHOICE: Final = "WELLKEEPER_TEST_NGINX"
# The old workers must have ended before the load begins.
_SETTLE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Variant:
    """One nginx, and additional lines in its http block."""

    choice: str
    in_http: str = ""

    def __str__(self) -> str:
        version = ".".join(map(str, nginx_version()))
        return f"nginx {version}, {self.in_http.rstrip(';')}" if self.in_http else f"nginx {version}"


@dataclass(frozen=True, slots=True)
class _Found:
    nginx: str
    counts: dict[str, Counts]
    seconds: Sequence[float]
    keeps_connections: bool


_VARIANTS: Final = (_Variant("system"), _Variant("newest"), _Variant("newest", "keepalive_min_timeout 2s;"))


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Run the issuer once per round: obtain, install, reload, verify."""
    found = []
    for number, variant in enumerate(_VARIANTS):
        with _chosen(variant.choice):
            (folder / f"{number}").mkdir()
            tell(f"reloads: {plan.reload_count} of {variant}")
            found.append(await _measure_one(plan.reload_count, folder / f"{number}", variant))
    return _result(plan, found)


async def _measure_one(count: int, folder: Path, variant: _Variant) -> _Found:
    served: set[str] = set()
    seconds: list[float] = []
    async with running_host(folder, {_NAME: (_NAME,)}, nonces_rejected_percent=0, retry_after_seconds=0) as host:
        await _configure(host, variant)
        plain = Load([Target(*host.http, _NAME)], clients_per_target=_CLIENTS)
        tls = Load([Target(*host.https, _NAME, unverified_tls())], clients_per_target=_CLIENTS)
        async with plain.running() as plain_counts, tls.running() as tls_counts:
            for _ in range(count):
                certificate = await _renew(host)
                served.add(certificate["served_fingerprint_sha256"])
                seconds.append(certificate["seconds"]["reload"])
    if len(served) != count:
        raise StandError(f"{count} reloads of {variant} brought {len(served)} certificates")
    return _Found(str(variant), {"plain": plain_counts, "TLS": tls_counts}, seconds, bool(variant.in_http))


@contextmanager
def _chosen(choice: str) -> Iterator[None]:
    """Make the stand use this nginx inside the context."""
    before = os.environ.get(_CHOICE)
    os.environ[_CHOICE] = choice
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CHOICE]
        else:
            os.environ[_CHOICE] = before


async def _configure(host: Host, variant: _Variant) -> None:
    if variant.in_http:
        host.nginx.write(replace(host.nginx.settings, in_http=variant.in_http))
        host.nginx.reload()
        await asyncio.sleep(_SETTLE_SECONDS)


async def _renew(host: Host) -> dict[str, Any]:
    finished = await host.issuer.run_well("renew", "--force", "--json", "--log-format", "text")
    certificate: dict[str, Any] = finished.json()["certificates"][0]
    if certificate["served_fingerprint_sha256"] != certificate["fingerprint_sha256"]:
        raise StandError(f"nginx does not serve what was installed: {certificate}")
    return certificate


def _result(plan: Plan, found: Sequence[_Found]) -> Result:
    series, goals, reasons = [], [], []
    for one in found:
        series.append(Series("reload until the old workers accept no more", one.nginx, "s", tuple(one.seconds)))
        for kind, counts in one.counts.items():
            name = f"{one.nginx}, {kind}"
            series += [
                Series("requests served", name, "", (counts.served,)),
                Series("requests repeated: the reload closed a kept connection", name, "", (counts.retried,)),
                Series("requests failed", name, "", (counts.failed,)),
            ]
            reasons += [f"{name}: {reason}" for reason in counts.reasons]
        goals.append(_zero(f"{one.nginx}: failed", sum(counts.failed for counts in one.counts.values())))
        if one.keeps_connections:
            goals.append(_zero(f"{one.nginx}: repeated", sum(counts.retried for counts in one.counts.values())))
    note = (
        f"{plan.reload_count} reloads each, with a certificate just obtained and proven served; {_CLIENTS} clients on "
        f"plain HTTP and {_CLIENTS} on TLS, half of them with a new connection for each request. A reload closes idle "
        "kept connections: a request that fails because of this is repeated once on a new one, as browsers do."
    )
    return Result(NAME, "Reloads under load", tuple(series), tuple(goals), (note, *reasons))


def _zero(name: str, count: int) -> Goal:
    return Goal(f"reloads, {name}", "0", count, count == 0)
