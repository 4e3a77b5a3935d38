"""Run a real responder with more room and another public address, and publish tokens over its control socket."""

import asyncio
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.figures import Tell
from stand.ports import free_port
from stand.processes import Process, StandError, accepts, accepts_unix
from stand.responder import INSTALLED
from wellkeeper_client import wire
from wellkeeper_client.signing import Publication, encode_public_key, sign_publication

_CLIENTS: Final = 4
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_START_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs publications as an issuer with one ACME account does."""

    key: Ed25519PrivateKey
    thumbprint: str

    @classmethod
    def new(cls) -> "Signer":
        return cls(Ed25519PrivateKey.generate(), secrets.token_urlsafe(32))

    def sign(self, token: str) -> str:
        now = int(time.time())
        publication = Publication(
            token=token,
            thumbprint=self.thumbprint,
            identifier=f"{token[:8].strip('_-').lower()}.bench.test",
            jti=secrets.token_urlsafe(16),
            issued_at=now,
            expires_at=now + wire.MAX_LIFETIME_SECONDS,
        )
        return sign_publication(publication, self.key)


class BenchResponder:
    """`async with BenchResponder(folder, signer, max_tokens) as responder`; it listens on a unix socket and on TCP."""

    def __init__(self, folder: Path, signer: Signer, max_tokens: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.public_socket, self.control_socket = folder / "public.sock", folder / "control.sock"
        self.tcp = ("127.0.0.1", free_port())
        argv = [str(INSTALLED), "--max-tokens", str(max_tokens)]
        argv += ["--public", f"unix:{self.public_socket}", "--public", f"{self.tcp[0]}:{self.tcp[1]}"]
        argv += ["--control", f"unix:{self.control_socket}"]
        argv += ["--publishing-key", encode_public_key(signer.key.public_key())]
        argv += ["--account-thumbprint", signer.thumbprint]
        self.process = Process("responder", argv, folder / "responder.log")

    async def __aenter__(self) -> "BenchResponder":
        await self.process.start(self._is_ready, _START_SECONDS)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.process.stop()

    async def _is_ready(self) -> bool:
        return await accepts(*self.tcp) and await accepts_unix(self.control_socket)


def new_tokens(count: int) -> list[str]:
    """Return a token as a CA generates it: 32 random bytes, 43 characters."""
    return [secrets.token_urlsafe(32) for _ in range(count)]


async def publish(responder: BenchResponder, signer: Signer, tokens: Sequence[str], tell: Tell) -> float:
    """Publish all tokens, a few at a time; return the seconds, including the signatures."""
    tell(f"publishing {len(tokens)} tokens over the control socket")
    began = time.monotonic()
    cycle = iter(tokens)
    async with asyncio.TaskGroup() as group:
        for _ in range(_CLIENTS):
            group.create_task(_publish_each(responder.control_socket, signer, cycle))
    return time.monotonic() - began


async def _publish_each(control_socket: Path, signer: Signer, cycle: Iterator[str]) -> None:
    reader, writer = await asyncio.open_unix_connection(control_socket)
    try:
        for token in cycle:
            message = signer.sign(token).encode()
            head = f"PUT {wire.TOKENS_PREFIX}{token} HTTP/1.1\r\nHost: responder\r\nContent-Length: {len(message)}\r\n"
            writer.write(f"{head}Content-Type: {wire.MESSAGE_MEDIA_TYPE}\r\n\r\n".encode() + message)
            await _accepted(reader)
    finally:
        writer.transport.abort()


async def _accepted(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next(line.split(":")[1] for line in head.splitlines() if line.lower().startswith("content-length"))
    body = await reader.readexactly(int(length))
    if not head.startswith("HTTP/1.1 20"):
        raise StandError(f"the responder refused a publication: {head.splitlines()[0]} {body.decode()}")


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process and its children, nginx's workers (proc(5): stat 14 and 15)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = 0
    for one in (str(pid), *children):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_PER_SECOND


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process, 0 when it has ended."""
    return _mib(pid, "VmRSS")


def peak_mib(pid: int) -> float:
    """Return the highest resident memory since the program was started, 0 when it has ended."""
    return _mib(pid, "VmHWM")


def _mib(pid: int, name: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0) / 1024
