"""Measurement: from the start of the command until the chain is on disk, and until the certificate is served."""

import asyncio
import os
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.certbot import Certbot, running_certbot, serve
from bench.figures import Plan, Result, Series, Tell, ratio_at_most
from stand.host import Host, running_host
from stand.nginx import Address
from stand.processes import StandError

NAME: Final = "issuance"
_NAMES: Final = {"wellkeeper": "wellkeeper.bench.test", "certbot": "certbot.bench.test"}
_LOOK_SECONDS: Final = 0.004
_SERVED_SECONDS: Final = 20.0
_RUN_SECONDS: Final = 120.0
_PEM_END: Final = "-----END CERTIFICATE-----\n"
_HOW: Final = (
    "Whole processes, one name, an ECDSA key, a new order with a new authorization each time; Pebble validates at "
    "once, names no Retry-After and rejects no nonce."
)
_SERVED: Final = (
    "Served: the command has ended, and the benchmark's own handshake gets the new certificate. certbot ends after "
    "`nginx -s reload` without checking; `wellkeeper` has already verified it by then."
)

Start = Callable[[], Awaitable[asyncio.subprocess.Process]]


@dataclass(frozen=True, slots=True)
class _Subject:
    """A program to start, with the file of its certificate and the address that serves it."""

    name: str
    start: Start
    fullchain: Path
    https: Address


@dataclass(frozen=True, slots=True)
class _Times:
    """The seconds since the start of the command."""

    on_disk: float
    served: float


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Measure both in each round, with the same Pebble and DNS server and an equal nginx for each."""
    ours = _NAMES["wellkeeper"]
    times: dict[str, list[_Times]] = {name: [] for name in _NAMES}
    async with (
        running_host(folder, {ours: (ours,)}, nonces_rejected_percent=0, retry_after_seconds=0) as host,
        running_certbot(folder / "certbot", host, _NAMES["certbot"]) as certbot,
    ):
        tell("issuance: a first certificate each, which is not counted")
        subjects = await _warmed_up(host, certbot)
        for number in range(plan.rounds):
            tell(f"issuance: round {number + 1} of {plan.rounds}")
            for subject in subjects:
                times[subject.name].append(await _obtain(subject))
    return _result(times)


async def _warmed_up(host: Host, certbot: Certbot) -> list[_Subject]:
    """Prepare both: register accounts, and serve a certificate of this CA."""
    ours = _NAMES["wellkeeper"]

    async def renew() -> asyncio.subprocess.Process:
        return await host.issuer.start("renew", "--force", "--log-format", "text")

    subjects = [
        _Subject("wellkeeper", renew, host.issuer.live(ours) / "fullchain.pem", host.https),
        _Subject("certbot", certbot.start, certbot.fullchain, certbot.https),
    ]
    await _finished(subjects[0])
    await _finished(subjects[1])
    serve(certbot)
    for subject in subjects:
        await _until_served(subject)
    return subjects


async def _obtain(subject: _Subject) -> _Times:
    """Watch both alike: wait for a new file, and make a handshake after the end of the command."""
    before = _identity(subject.fullchain)
    began = time.monotonic()
    running = asyncio.ensure_future(_finished(subject))
    on_disk = await _seconds_until_changed(subject.fullchain, before, running)
    await running
    if _identity(subject.fullchain) == before:
        raise StandError(f"{subject.name} ended well without a new certificate in {subject.fullchain}")
    await _until_served(subject)
    return _Times(on_disk, time.monotonic() - began)


async def _seconds_until_changed(file: Path, before: tuple[int, int] | None, running: asyncio.Future[None]) -> float:
    began = time.monotonic()
    while True:
        if _identity(file) != before or running.done():
            return time.monotonic() - began
        await asyncio.sleep(_LOOK_SECONDS)


async def _finished(subject: _Subject) -> None:
    process = await subject.start()
    try:
        async with asyncio.timeout(_RUN_SECONDS):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode != 0:
        raise StandError(f"{subject.name} ended with {process.returncode}: {out.decode()}{(err or b'').decode()}")


def _identity(file: Path) -> tuple[int, int] | None:
    """Return device and inode of the file behind all links."""
    try:
        found = os.stat(file)  # noqa: PTH116 - every four milliseconds
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


async def _until_served(subject: _Subject) -> None:
    wanted = ssl.PEM_cert_to_DER_cert(subject.fullchain.read_text().partition("-----END")[0] + _PEM_END)
    async with asyncio.timeout(_SERVED_SECONDS):
        while True:
            if await _served(subject.https, _NAMES[subject.name]) == wanted:
                return
            await asyncio.sleep(_LOOK_SECONDS)


async def _served(address: Address, name: str) -> bytes | None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        _, writer = await asyncio.open_connection(*address, ssl=context, server_hostname=name)
    except OSError:
        return None
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return found


def _result(times: dict[str, list[_Times]]) -> Result:
    served = {
        name: Series("until proven served", name, "s", tuple(one.served for one in found))
        for name, found in times.items()
    }
    disk = {
        name: Series("until the chain is on disk", name, "s", tuple(one.on_disk for one in found))
        for name, found in times.items()
    }
    goals = (
        ratio_at_most(served["wellkeeper"], served["certbot"], 0.35),
        ratio_at_most(disk["wellkeeper"], disk["certbot"], 0.25),
    )
    return Result(NAME, "Time to certificate", (*served.values(), *disk.values()), goals, (_HOW, _SERVED))
