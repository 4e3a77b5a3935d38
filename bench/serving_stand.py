"""Run the servers that the measurement `serving` compares, all at the same time, since idle ones cost nothing."""

import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from bench.figures import Tell
from bench.responder import BenchResponder, Signer, new_tokens, publish
from stand.nginx import Address, NginxServer, NginxSettings
from stand.ports import free_port
from stand.processes import PROJECT, Process, StandError, accepts
from wellkeeper_client import wire

_CHECKED: Final = 20
_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Subject:
    """The address and the paths that wrk requests, and the process whose CPU time counts."""

    name: str
    address: Address
    paths: Path
    server: Process


@dataclass(frozen=True, slots=True)
class _Bare:
    process: Process
    tcp: Address
    socket: Path


@asynccontextmanager
async def running_subjects(folder: Path, token_count: int, tell: Tell) -> AsyncIterator[list[Subject]]:
    """Publish the tokens, and read a few of them back."""
    signer, tokens = Signer.new(), new_tokens(token_count)
    many, one = _write_paths(folder / "many", tokens), _write_paths(folder / "one", tokens[:1])
    _write_static(folder / "static", tokens[0], signer.thumbprint)
    async with AsyncExitStack() as stack:
        responder = await stack.enter_async_context(BenchResponder(folder / "responder", signer, token_count))
        await publish(responder, signer, tokens, tell)
        bare = await _start_bare(folder, stack)
        standalone, standalone_address = await _start_standalone(folder, stack, tokens[0], signer.thumbprint)
        ports = {name: free_port() for name in ("snippet", "responder", "bare", "static")}
        settings = NginxSettings(
            responder.public_socket,
            ((_LOOPBACK, ports["snippet"]),),
            in_http=_servers(ports, responder.public_socket, bare.socket, folder / "static"),
            in_server="access_log off;",
            worker_count=1,
        )
        nginx = await stack.enter_async_context(NginxServer(folder / "nginx", settings))
        subjects = [
            Subject("responder", responder.tcp, many, responder.process),
            Subject("bare aiohttp", bare.tcp, many, bare.process),
            Subject("certbot's standalone", standalone_address, one, standalone),
            Subject("nginx → responder", (_LOOPBACK, ports["responder"]), many, responder.process),
            Subject("nginx → bare aiohttp", (_LOOPBACK, ports["bare"]), many, bare.process),
            Subject("nginx → responder, challenge.conf", (_LOOPBACK, ports["snippet"]), many, responder.process),
            Subject("nginx, static file", (_LOOPBACK, ports["static"]), one, nginx.process),
        ]
        await _check(subjects, tokens, signer.thumbprint)
        yield subjects


async def _start_bare(folder: Path, stack: AsyncExitStack) -> _Bare:
    port, socket = free_port(), folder / "bare.sock"
    process = _program(folder, "aiohttp", "--port", str(port), "--unix", str(socket))
    await _start(process, port, stack)
    # As the responder's public socket: nginx's workers may connect.
    socket.chmod(0o666)
    return _Bare(process, (_LOOPBACK, port), socket)


async def _start_standalone(
    folder: Path, stack: AsyncExitStack, token: str, thumbprint: str
) -> tuple[Process, Address]:
    port = free_port()
    process = _program(folder, "standalone", "--port", str(port), f"--token={token}", f"--thumbprint={thumbprint}")
    await _start(process, port, stack)
    return process, (_LOOPBACK, port)


def _program(folder: Path, *arguments: str) -> Process:
    argv = [sys.executable, "-m", "bench.yardsticks", *arguments]
    return Process(arguments[0], argv, folder / f"{arguments[0]}.log", {"PYTHONPATH": str(PROJECT)})


async def _start(process: Process, port: int, stack: AsyncExitStack) -> None:
    async def is_ready() -> bool:
        return await accepts(_LOOPBACK, port)

    stack.push_async_callback(process.stop)
    await process.start(is_ready)


async def _check(subjects: list[Subject], tokens: list[str], thumbprint: str) -> None:
    """Check a few answers, since fast wrong answers would make the figures worthless."""
    async with aiohttp.ClientSession() as session:
        for subject in subjects:
            is_constant = "bare" in subject.name
            wanted = tokens if subject.paths.name == "many" else tokens[:1]
            for token in {secrets.choice(wanted) for _ in range(_CHECKED)}:
                url = f"http://{subject.address[0]}:{subject.address[1]}{wire.CHALLENGE_PREFIX}{token}"
                async with session.get(url) as reply:
                    body = await reply.text()
                if reply.status != 200 or (body != f"{token}.{thumbprint}" and not is_constant):
                    raise StandError(f"{subject.name} answers {reply.status} {body!r:.100} at {url}")


def _write_paths(file: Path, tokens: list[str]) -> Path:
    file.write_text("".join(f"{wire.CHALLENGE_PREFIX}{token}\n" for token in tokens))
    return file


def _write_static(root: Path, token: str, thumbprint: str) -> None:
    file = root / f"{wire.CHALLENGE_PREFIX.strip('/')}/{token}"
    file.parent.mkdir(parents=True)
    file.write_text(f"{token}.{thumbprint}")


def _servers(ports: dict[str, int], responder: Path, bare: Path, static: Path) -> str:
    proxied = "".join(
        f"""
    upstream bench_{name} {{ server unix:{socket} max_fails=0; keepalive 64; }}
    server {{
        listen {_LOOPBACK}:{ports[name]};
        access_log off;
        location {wire.CHALLENGE_PREFIX} {{
            proxy_pass http://bench_{name};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
        }}
    }}"""
        for name, socket in (("responder", responder), ("bare", bare))
    )
    return f"""{proxied}
    server {{
        listen {_LOOPBACK}:{ports["static"]};
        access_log off;
        location {wire.CHALLENGE_PREFIX} {{ root {static}; }}
    }}"""
