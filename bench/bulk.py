"""Measurement: many certificates from nothing, until they are served, beside the acme library's bare threads."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.certbot import Certbot, running_certbot
from bench.figures import Goal, Plan, Result, Series, Tell, at_least, find, ratio_at_least
from stand.host import Host, running_host
from stand.nginx import NginxServer, NginxSettings, Site
from stand.ports import free_port
from stand.processes import PROJECT, StandError, search_path

NAME: Final = "bulk"
_GROUP: Final = "certificates from nothing"
_THREADS: Final = 16
# The default number of orders a second is for public CAs; the CA of this measurement is its own.
_SETTINGS: Final = ("renewals_at_once = 64", "orders_per_second = 1000.0")
# Of certbot, lego, acme.sh, dehydrated, Caddy and uacme, the last was the fastest with 50, in eight processes at once.
_DEFAULT_COUNT: Final = 50
_FASTEST_PEER: Final = 9.3
_DEBOUNCE_SECONDS: Final = 2.0
_RELOAD_SECONDS: Final = 30.0
_RUN_SECONDS: Final = 120.0
# nginx says "reconfiguring" twice each time.
_RECONFIGURED: Final = ", reconfiguring"
# Pebble fetches tokens from one port of whatever address a name has.
_ADDRESSES: Final = {"wellkeeper": "127.0.0.1", "certbot": "127.0.0.2", "bare threads": "127.0.0.3"}
_HOW: Final = (
    "A certificate is a name with a key and an order of its own. Ours: the whole command `renew`, from its start until "
    f"nginx has reloaded and every certificate was seen to be served, with {' and '.join(_SETTINGS)}, each "
    "certificate in a server block of its own. Bare threads: "
    f"{_THREADS} threads of the acme library in one process that runs already, which obtain and forget; their tokens "
    "are answered by an nginx that knows the thumbprint. certbot: `certonly --webroot`, one process after another. "
    f"Default settings: the same command for {_DEFAULT_COUNT} certificates, at most 20 new orders a second."
)


@dataclass(frozen=True, slots=True)
class _Bare:
    """The bare threads, with a responder that answers every token."""

    folder: Path
    host: Host

    async def obtain(self, names: Sequence[str]) -> float:
        """Return certificates per second, without the start of Python."""
        file = self.folder / "names.txt"
        file.write_text("\n".join(names))
        options = {
            "directory": self.host.ca.directory_url,
            "bundle": str(self.host.ca.ca_bundle),
            "key": str(self.folder / "account.pem"),
            "threads": str(_THREADS),
        }
        out = await _run("obtain", *(f"--{key}={value}" for key, value in options.items()), str(file))
        found = json.loads(out)
        return float(found["certificates"]) / float(found["seconds"])


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Measure all three in each round, with one Pebble and new names."""
    rates: dict[str, list[float]] = {name: [] for name in _ADDRESSES}
    default_rates, reloads = [], []
    async with (
        running_host(folder, {"first": ("first.bulk.test",)}, nonces_rejected_percent=0, retry_after_seconds=0) as host,
        _running_bare(folder, host) as bare,
        running_certbot(folder / "certbot", host, "0.certbot.test") as certbot,
    ):
        for number in range(plan.bulk_rounds):
            tell(f"bulk: round {number + 1} of {plan.bulk_rounds}, {plan.bulk_count} certificates of ours")
            rate, count = await _ours(host, f"r{number}", plan.bulk_count, _SETTINGS)
            rates["wellkeeper"].append(rate)
            default_rates.append((await _ours(host, f"d{number}", _DEFAULT_COUNT))[0])
            reloads.append(count / max(1.0, plan.bulk_count / rate / _DEBOUNCE_SECONDS))
            tell(f"bulk: {rate:.1f} a second with {count} reloads; as many with bare threads")
            await host.dns.set_default_address(_ADDRESSES["bare threads"])
            rates["bare threads"].append(
                await bare.obtain([f"{one}.r{number}.bare.test" for one in range(plan.bulk_count)])
            )
            tell(f"bulk: {rates['bare threads'][-1]:.1f} a second; {plan.loop_count} with certbot")
            await host.dns.set_default_address(_ADDRESSES["certbot"])
            rates["certbot"].append(await _loop(certbot, number, plan.loop_count))
            await host.dns.set_default_address(_ADDRESSES["wellkeeper"])
    return _result(plan, rates, default_rates, reloads)


async def _ours(host: Host, prefix: str, count: int, settings: tuple[str, ...] = ()) -> tuple[float, int]:
    """Return certificates per second, and the number of reloads of nginx."""
    names = {f"{prefix}-{one}": (f"{one}.{prefix}.bulk.test",) for one in range(count)}
    issuer, nginx = host.issuer, host.nginx
    issuer.configure(replace(host.issuer_settings, certificates=names, more=settings))
    await issuer.run_well("placeholder")
    sites = tuple(Site(tuple(identifiers), issuer.live(name)) for name, identifiers in names.items())
    before = nginx.errors().count(_RECONFIGURED)
    nginx.write(replace(nginx.settings, sites=sites))
    nginx.reload()
    await _until_reloaded(nginx, before)
    before = nginx.errors().count(_RECONFIGURED)
    began = time.monotonic()
    finished = await issuer.run("renew", "--json")
    seconds = time.monotonic() - began
    outcomes = [one["outcome"] for one in finished.json()["certificates"]] if finished.out else []
    if outcomes != ["served"] * count:
        raise StandError(f"only {outcomes.count('served')} of {count} certificates are served:\n{finished.err[-3000:]}")
    return count / seconds, nginx.errors().count(_RECONFIGURED) - before


async def _until_reloaded(nginx: NginxServer, before: int) -> None:
    """Wait until nginx has loaded its configuration once more than `before`."""
    async with asyncio.timeout(_RELOAD_SECONDS):
        while nginx.errors().count(_RECONFIGURED) == before or not await nginx.is_ready():  # noqa: ASYNC110 - a process
            await asyncio.sleep(0.1)


async def _loop(certbot: Certbot, number: int, count: int) -> float:
    """Return certificates per second of processes that run one after another, each for a new name."""
    began = time.monotonic()
    for one in range(count):
        name = f"{one}.r{number}.certbot.test"
        process = await replace(certbot, name=name, lineage=f"r{number}-{one}").start()
        out, _ = await process.communicate()
        if process.returncode != 0:
            raise StandError(f"certbot ended with {process.returncode}: {out.decode()}")
    return count / (time.monotonic() - began)


def _result(
    plan: Plan, rates: dict[str, list[float]], default_rates: Sequence[float], reloads: Sequence[float]
) -> Result:
    series = [Series(_GROUP, name, "/s", tuple(found)) for name, found in rates.items()]
    by_default = Series(f"{_DEFAULT_COUNT} certificates, default settings", "wellkeeper", "/s", tuple(default_rates))
    windows = Series("reloads a debounce window", "wellkeeper", "", tuple(reloads))
    ours = find(series, _GROUP, "wellkeeper")
    goals = (
        ratio_at_least(ours, find(series, _GROUP, "certbot"), 50),
        ratio_at_least(ours, find(series, _GROUP, "bare threads"), 0.5),
        at_least(by_default, _FASTEST_PEER),
        Goal(f"{windows.group}: wellkeeper", "≤ 1", max(reloads), max(reloads) <= 1),
    )
    return Result(NAME, f"{plan.bulk_count} certificates from nothing", (*series, by_default, windows), goals, (_HOW,))


@asynccontextmanager
async def _running_bare(folder: Path, host: Host) -> AsyncIterator[_Bare]:
    """Run an nginx that answers every token for one account."""
    thumbprint = (await _run("thumbprint", str(folder / "account.pem"))).strip()
    address = _ADDRESSES["bare threads"]
    servers = f"""
    server {{
        listen {address}:{host.http[1]};
        access_log off;
        location ~ "^/\\.well-known/acme-challenge/([-_a-zA-Z0-9]+)$" {{ return 200 "$1.{thumbprint}"; }}
    }}"""
    settings = NginxSettings(host.responder.public_socket, ((address, free_port()),), in_http=servers)
    async with NginxServer(folder / "bare", settings, "the nginx of bare threads"):
        yield _Bare(folder, host)


async def _run(*arguments: str) -> str:
    """Return the output of bench.bare_threads."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.bare_threads", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": search_path(), "LC_ALL": "C.UTF-8", "PYTHONPATH": str(PROJECT)},
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_RUN_SECONDS):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            os.kill(process.pid, 9)
            await process.wait()
    if process.returncode != 0:
        raise StandError(f"bare threads ended with {process.returncode}: {err.decode()[-2000:]}")
    return out.decode()
