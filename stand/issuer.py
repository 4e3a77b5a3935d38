"""The real `wellkeeper`, run as a process with its own settings file."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from stand.nginx import Address
from stand.processes import PROGRAMS, StandError, search_path

# Five stages and a reload take two seconds here; a machine under load may take far longer.
_RUN_SECONDS: Final = 200.0


@dataclass(frozen=True, slots=True)
class NodeUnderTest:
    """A node, as in `[[nodes]]`."""

    name: str
    responder: str
    http_address: Address
    https_address: Address
    proxy_protocol: bool = False


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """The content of issuer.toml; `certificates` maps names to identifiers, `more` are lines for the top level.

    `directory_url` may be several, in order of preference; `tables` are taken over at the end. Without nodes, the host
    has no nginx. With `nginx_agent`, command and pid file are left out.
    """

    directory_url: str | tuple[str, ...]
    ca_bundle: Path | None
    certificates: Mapping[str, Sequence[str]]
    nodes: Sequence[NodeUnderTest] = ()
    nginx_command: Sequence[str] = ()
    nginx_pid_file: Path = Path("/nonexistent")
    nginx_agent: Path | None = None
    profile: str = "default"
    key_type: str = "ecdsa-p256"
    reload_interval_seconds: float = 10.0
    more: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """Exit status and output of a command."""

    exit_code: int
    out: str
    err: str

    def json(self) -> Any:  # noqa: ANN401 - whatever the command printed
        """Raises StandError."""
        try:
            return json.loads(self.out)
        except ValueError:
            raise StandError(f"not JSON: {self}") from None

    def __str__(self) -> str:
        return f"exit {self.exit_code}\n{self.out}\n{self.err}"


class Issuer:
    """An issuer with its directory. Commands run one after another, as an administrator would run them."""

    def __init__(self, folder: Path, programs: Path = PROGRAMS) -> None:
        self._program = str(programs / "wellkeeper")
        self.config_path = folder / "etc/issuer.toml"
        self.trust_path = folder / "etc/trust.toml"
        self.state_dir = folder / "issuer"
        self.certificates_dir = folder / "certificates"

    def live(self, name: str) -> Path:
        return self.certificates_dir / "live" / name

    def configure(self, settings: IssuerSettings) -> None:
        self.config_path.parent.mkdir(parents=True, exist_ok=True)
        self.config_path.write_text(self._toml(settings))

    async def make_keys(self) -> None:
        """Make the keys for the present settings, and let the responder trust them."""
        found = (await self.run_well("init", "--json")).json()["trust_file"]
        if not (found["is_written"] or found["is_current"]):
            await self.run_well("trust", "--write")

    async def run_well(self, *arguments: str) -> Finished:
        """Run a command. Raises StandError when it fails."""
        finished = await self.run(*arguments)
        if finished.exit_code != 0:
            raise StandError(f"wellkeeper {' '.join(arguments)}: {finished}")
        return finished

    async def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Finished:
        """Run a command. Raises StandError when it does not end."""
        async with self.running(*arguments, environment=environment) as process:
            try:
                async with asyncio.timeout(_RUN_SECONDS):
                    out, err = await process.communicate()
            except TimeoutError:
                raise StandError(f"wellkeeper {' '.join(arguments)} has not ended after {_RUN_SECONDS:g} s") from None
            return Finished(await process.wait(), out.decode(), err.decode())

    @asynccontextmanager
    async def running(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Start a command; leaving kills it, with its children, unless it has ended."""
        process = await self.start(*arguments, environment=environment)
        try:
            yield process
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()

    async def start(self, *arguments: str, environment: Mapping[str, str] | None = None) -> asyncio.subprocess.Process:
        """Start a command, and let the caller wait for it; `environment` is added to the usual one."""
        return await asyncio.create_subprocess_exec(
            self._program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={
                "PATH": search_path(),
                "LC_ALL": "C.UTF-8",
                "WELLKEEPER_CONFIG": str(self.config_path),
                "WELLKEEPER_OFFLINE": "1",  # only `doctor` with another environment asks the stand's DNS server
            }
            | dict(environment or {}),
            start_new_session=True,
        )

    def _toml(self, settings: IssuerSettings) -> str:
        """Return the settings as TOML; JSON's strings, lists and booleans are valid TOML."""
        lines = [
            f"ca = {json.dumps(settings.directory_url)}",
            *([f"ca_bundle = {json.dumps(str(settings.ca_bundle))}"] if settings.ca_bundle else []),
            "terms_of_service_agreed = true",
            f"state_dir = {json.dumps(str(self.state_dir))}",
            f"certificates_dir = {json.dumps(str(self.certificates_dir))}",
            *settings.more,
            *(_nginx(settings) if settings.nodes else ["local_node = false"]),
        ]
        for node in settings.nodes:
            lines += [
                "[[nodes]]",
                f"name = {json.dumps(node.name)}",
                f"responder = {json.dumps(node.responder)}",
                f"http_addresses = {json.dumps([_text(node.http_address)])}",
                f"https_addresses = {json.dumps([_text(node.https_address)])}",
                f"proxy_protocol = {json.dumps(node.proxy_protocol)}",
            ]
        for name, identifiers in settings.certificates.items():
            lines += [
                "[[certificates]]",
                f"name = {json.dumps(name)}",
                f"identifiers = {json.dumps(list(identifiers))}",
                f"profile = {json.dumps(settings.profile)}",
                f"key_type = {json.dumps(settings.key_type)}",
            ]
        return "\n".join([*lines, *settings.tables]) + "\n"


def _nginx(settings: IssuerSettings) -> list[str]:
    """Return the lines for the nginx of the first node, which is on the issuer's host."""
    command = (
        f"command = {json.dumps(list(settings.nginx_command))}",
        f"pid_file = {json.dumps(str(settings.nginx_pid_file))}",
    )
    return [
        "[nginx]",
        *([f"agent = {json.dumps(str(settings.nginx_agent))}"] if settings.nginx_agent else command),
        f"https_addresses = {json.dumps([_text(settings.nodes[0].https_address)])}",
        f"proxy_protocol = {json.dumps(settings.nodes[0].proxy_protocol)}",
        f"reload_interval_seconds = {settings.reload_interval_seconds}",
    ]


def _text(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
