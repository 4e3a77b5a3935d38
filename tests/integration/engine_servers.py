"""The servers and Sentinels of docs/engine.md, with the lines of the page."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from stand.certificates import ServerCertificate, make_server_certificate
from stand.issuer import Issuer
from stand.key_value import QUICK, KeyValueServer, Sentinel
from stand.ports import free_port
from tests.integration.whole_fleets import FleetNode
from tests.json_docs import assert_documented
from tests.systemd.pages import configuration
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.records.engine import parse_engine
from wellkeeper_node.records.engine_calls import EngineCalls
from wellkeeper_node.records.engine_connection import Access
from wellkeeper_node.records.valkey import ValkeyRecords

PAGE: Final = "docs/engine.md"
HOST: Final = "127.0.0.1"
SECONDS: Final = 20.0
_PASSWORDS: Final = {
    "REPLICA-PASSWORD": "r" * 20,
    "SENTINEL-PASSWORD": "s" * 20,
    "PASSWORD-OF-SENTINELS": "p" * 20,
    "READER-PASSWORD": "q" * 20,
}


@dataclass(frozen=True)
class Server:
    """A server with TLS at `port`."""

    process: KeyValueServer
    port: int
    issuer_password: str

    async def ask(self, user: str, password: str, *command: str) -> Any:  # noqa: ANN401 - whatever it replies
        calls = self._calls(user, password)
        try:
            (reply,) = await calls.ask(command)
            return reply
        finally:
            await calls.close()

    async def detach(self) -> None:
        """Let a replica follow its primary no more."""
        assert await self.ask("sentinel", _PASSWORDS["SENTINEL-PASSWORD"], "SLAVEOF", "NO", "ONE") == b"OK"

    async def info(self) -> str:
        found: bytes = await self.ask("sentinel", _PASSWORDS["SENTINEL-PASSWORD"], "INFO", "replication")
        return found.decode()

    async def value(self, key: str) -> bytes | None:
        """Return a record, as the issuer sees it."""
        records = ValkeyRecords(self._calls("wellkeeper-issuer", self.issuer_password), SystemClock(), "")
        try:
            found = await records.get(key)
            return found.value if found else None
        finally:
            await records.close()

    def _calls(self, user: str, password: str) -> EngineCalls:
        address = parse_engine(f"unix:{self.process.socket}")
        return EngineCalls(Access(address, user, password, SECONDS, SECONDS))


class Servers:
    """Starts them below a folder. `printed` is what `engine acl` prints; leaving ends all of them."""

    def __init__(self, folder: Path, printed: str, issuer_password: str) -> None:
        self.folder = folder
        self.certificate: ServerCertificate = make_server_certificate(folder / "tls", (HOST,))
        self.sentinels: list[Sentinel] = []
        self._issuer_password = issuer_password
        self._acl = folder / "users.acl"
        shown = [line for line in printed.splitlines() if line and not line.startswith(("#", "wrote "))]
        self._users = [line for line in shown if line.startswith("user ")]
        self._lines = [line for line in shown if line not in self._users]
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        users = [*self._users, *self._block("user replica on").splitlines(), "user default off"]
        self._acl.write_text("".join(f"{line}\n" for line in users))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def start(self, name: str, *, replica_of: int = 0) -> Server:
        port = free_port()
        text = self._block("aclfile", {"tls-port 6379": f"tls-port {port}"}) + self._block("masterauth")
        path = self.folder / f"{name}.conf"
        of_primary = [f"replicaof {HOST} {replica_of}"] if replica_of else []
        path.write_text(text + "".join(f"{line}\n" for line in (*self._lines, *of_primary)))
        process = KeyValueServer("redis", self.folder / name, "--include", str(path), has_port=False)
        await self._stack.enter_async_context(process)
        return Server(process, port, self._issuer_password)

    async def watch(self, primary: int) -> None:
        """Start three Sentinels."""
        for number in range(3):
            port = free_port()
            here = {"tls-port 26379": f"tls-port {port}", f"fleet {HOST} 6379": f"fleet {HOST} {primary}"}
            text = self._block("sentinel monitor", here)
            sentinel = Sentinel(self.folder / f"sentinel{number}", port, f"{text}{QUICK}\n")
            self.sentinels.append(await self._stack.enter_async_context(sentinel))

    async def until_ready(self) -> None:
        """Wait until all Sentinels know each other and the replica, which they then leave as it is."""
        for one in self.sentinels:
            address = parse_engine(f"rediss://{HOST}:{one.port}?ca={self.certificate.ca_bundle}")
            calls = EngineCalls(Access(address, "", _PASSWORDS["PASSWORD-OF-SENTINELS"], SECONDS, SECONDS))
            quorum: Any = b""
            replicas: Any = []
            while not (str(quorum).startswith("b'OK 3 ") and replicas):
                quorum, replicas = await calls.ask(("SENTINEL", "CKQUORUM", "fleet"), ("SENTINEL", "REPLICAS", "fleet"))
                await asyncio.sleep(0.1)
            # They look at roles again when the primary is down; until then, they would attach what a test detaches.
            assert await calls.ask(("SENTINEL", "DEBUG", "INFO-PERIOD", 3_600_000)) == [b"OK"]
            await calls.close()

    def _block(self, marker: str, more: Mapping[str, str] | None = None) -> str:
        """Return the block of the page with the paths, passwords and addresses of the test."""
        text = configuration(PAGE, "text", marker)
        here = {
            "/etc/valkey/users.acl": str(self._acl),
            "/etc/valkey/fullchain.pem": str(self.certificate.certificate),
            "/etc/valkey/privkey.pem": str(self.certificate.certificate_key),
            "/etc/valkey/ca.pem": str(self.certificate.ca_bundle),
            "10.0.0.9": HOST,
            **_PASSWORDS,
        }
        for theirs, ours in (here | dict(more or {})).items():
            text = text.replace(theirs, ours)
        return text


async def acl_file(issuer: Issuer, folder: Path) -> Path:
    """Return the ACL file that `engine acl` prints."""
    printed = (await issuer.run_well("engine", "acl", "--json")).json()
    assert_documented("engine acl", printed)
    path = folder / "users.acl"
    path.write_text("".join(f"{one['line']}\n" for one in printed["users"]) + "user default off\n")
    return path


def followed(node: FleetNode) -> list[str]:
    """Return the relays and engines that its agent follows."""
    return list(json.loads((node.agent.state_dir / "status.json").read_text())["relays"])
