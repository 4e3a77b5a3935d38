"""Watch one command that renews a certificate: its times, and the most memory that it used."""

import asyncio
import os
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.certbot import Certbot, serve
from bench.figures import Series
from bench.responder import peak_mib
from stand.host import Host
from stand.nginx import Address
from stand.processes import StandError

DISK: Final = "until the chain is on disk"
SERVED: Final = "until proven served"
MEMORY: Final = "peak memory (RSS)"
HOW_SERVED: Final = (
    "Served: the command has ended, and the benchmark's own handshake gets the new certificate. certbot ends after "
    "`nginx -s reload` without checking; `wellkeeper` has already verified it by then."
)
_LOOK_SECONDS: Final = 0.004
_SERVED_SECONDS: Final = 20.0
_RUN_SECONDS: Final = 120.0
_PEM_END: Final = "-----END CERTIFICATE-----\n"

Start = Callable[[], Awaitable[asyncio.subprocess.Process]]


@dataclass(frozen=True, slots=True)
class Subject:
    """A command to start, with the file of its certificate, its name and the address that serves it."""

    name: str
    start: Start
    fullchain: Path
    identifier: str
    https: Address


@dataclass(frozen=True, slots=True)
class Renewal:
    """The seconds since the start of the command, and the peak of its memory."""

    on_disk: float
    served: float
    mib: float


def of_issuer(name: str, host: Host, certificate: str) -> Subject:
    """Return `renew CERTIFICATE`, whose only identifier has the same name."""

    async def renew() -> asyncio.subprocess.Process:
        return await host.issuer.start("renew", certificate, "--force", "--log-format", "text")

    return Subject(name, renew, host.issuer.live(certificate) / "fullchain.pem", certificate, host.https)


async def of_certbot(certbot: Certbot) -> Subject:
    """Obtain the first certificate, and make nginx serve it."""
    subject = Subject("certbot", certbot.start, certbot.fullchain, certbot.name, certbot.https)
    await finished(await subject.start(), subject)
    serve(certbot)
    await _until_served(subject)
    return subject


async def renewed(subject: Subject) -> Renewal:
    """Watch all alike: wait for a new file, and make a handshake after the end of the command."""
    before, on_disk, mib = identity(subject.fullchain), None, 0.0
    began = time.monotonic()
    process = await subject.start()
    running = asyncio.ensure_future(finished(process, subject))
    while not running.done():
        mib = max(mib, peak_mib(process.pid))
        if on_disk is None and identity(subject.fullchain) != before:
            on_disk = time.monotonic() - began
        await asyncio.wait([running], timeout=_LOOK_SECONDS)
    await running
    if on_disk is None:
        raise StandError(f"{subject.name} ended well without a new certificate in {subject.fullchain}")
    await _until_served(subject)
    return Renewal(on_disk, time.monotonic() - began, mib)


def to_series(group: str, unit: str, values: dict[str, Sequence[float]]) -> list[Series]:
    """Return a series for each subject."""
    return [Series(group, name, unit, tuple(found)) for name, found in values.items()]


async def finished(process: asyncio.subprocess.Process, subject: Subject) -> None:
    """Wait for the end of the command. Raises StandError when it failed."""
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


def identity(file: Path) -> tuple[int, int] | None:
    """Return inode and time of the file behind all links."""
    try:
        found = os.stat(file)  # noqa: PTH116 - every four milliseconds
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


async def _until_served(subject: Subject) -> None:
    wanted = ssl.PEM_cert_to_DER_cert(subject.fullchain.read_text().partition("-----END")[0] + _PEM_END)
    async with asyncio.timeout(_SERVED_SECONDS):
        while True:
            if await _served(subject.https, subject.identifier) == wanted:
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
