"""Other ACME clients, each as its users run it: the responder answers their challenges through nginx.

Each is refused while its account is not pinned; then it obtains a certificate for two names, and renews it. Nothing
stays published.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from stand.acme_clients import AcmeSh, CertbotHooks, CertbotPlugin, Client, Dehydrated, DehydratedChain, Lego, Uacme
from stand.challtestsrv import Challtestsrv
from stand.nginx import NginxServer, NginxSettings
from stand.pebble import Pebble, PebbleSettings
from stand.ports import free_port
from stand.processes import PROGRAMS, Process, Running, StandError, temporary_folder
from stand.responder import ResponderProcess
from tests.integration.observed import asked
from tests.responder.http import ask_until
from tests.responder.messages import KEY, PUBLIC_KEY
from tests.trust_files import trusting
from wellkeeper_client import wire
from wellkeeper_client.trust_file import Trust
from wellkeeper_responder.settings import UnixAddress

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.any_python,
    pytest.mark.root,
]

NAMES: Final = ("a.example.org", "b.example.org")
_UNPINNED: Final = re.compile(r"does not answer for the ACME account (\S{43})")
Make = Callable[[Path, Pebble, dict[str, str]], Client]
# Whether the CA is asked although the account is not pinned: certbot and webroots do not know better.
CLIENTS: Final[dict[str, tuple[Make, bool]]] = {
    "certbot plugin": (CertbotPlugin, False),
    "certbot hooks": (CertbotHooks, True),
    "dehydrated": (Dehydrated, False),
    "dehydrated with HOOK_CHAIN": (DehydratedChain, False),
    "uacme": (Uacme, False),
    "acme.sh": (AcmeSh, True),
    "lego": (Lego, True),
}


class Watch(Running):
    """`wellkeeper-publish --watch` of a webroot."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        argv = [str(PROGRAMS / "wellkeeper-publish"), "--watch", environment["WEBROOT"]]
        self.process = Process("watch", argv, folder / "watch.log", environment)

    async def is_ready(self) -> bool:
        return True


@dataclass(slots=True)
class Servers:
    """Everything but a client; `pinned` are the thumbprints of the trust file."""

    folder: Path
    ca: Pebble
    responder: ResponderProcess
    watch: Watch
    environment: dict[str, str]
    pinned: set[str]

    def client(self, name: str, suffix: str = "") -> Client:
        make, _ = CLIENTS[name]
        return make(self.folder / f"{name.replace(' ', '-')}{suffix}", self.ca, self.environment)

    async def pin(self, thumbprint: str) -> None:
        """Pin the account, and wait until the responder knows."""
        self.pinned.add(thumbprint)
        trusting(self.folder, Trust(tuple(self.pinned), (PUBLIC_KEY,)))
        await self._until(lambda status: thumbprint in status["account_thumbprints"])

    async def is_nothing_published(self) -> None:
        """Wait until every token is withdrawn: a watched webroot follows its client by milliseconds."""
        await self._until(lambda status: status["counts"]["tokens"] == 0)

    async def _until(self, is_so: Callable[[Any], bool]) -> None:
        control = UnixAddress(self.responder.control_socket)
        await ask_until(control, wire.STATUS_PATH, lambda reply: is_so(reply.json()), seconds=60)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers() -> AsyncIterator[Servers]:
    with temporary_folder() as folder:
        (folder / "key.pem").write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (folder / "webroot").mkdir()
        pinned = {"A" * 43}
        trust = trusting(folder, Trust(tuple(pinned), (PUBLIC_KEY,)))
        http = ("127.0.0.1", free_port())
        hold = {"WELLKEEPER_RESPONDER_HOLD_UNKNOWN_SECONDS": "1"}
        responder = ResponderProcess(folder / "responder", trust, environment=hold)
        environment = {
            "WELLKEEPER_PUBLISH_CONTROL": responder.control_address,
            "WELLKEEPER_PUBLISH_KEY": str(folder / "key.pem"),
            "WELLKEEPER_PUBLISH_THROUGH": f"127.0.0.1:{http[1]}",
            "WEBROOT": str(folder / "webroot"),
        }
        nginx = NginxServer(folder / "nginx", NginxSettings(responder.public_socket, (http,)))
        watch = Watch(folder, environment)
        async with (
            Challtestsrv(folder) as dns,
            Pebble(folder, PebbleSettings(dns.address, http[1], nonces_rejected_percent=0)) as ca,
            responder,
            nginx,
            watch,
        ):
            yield Servers(folder, ca, responder, watch, environment, pinned)


async def refused(servers: Servers, client: Client, *names: str) -> str:
    """Let the client be refused for lack of a pin, and return the thumbprint that the message names."""
    before = servers.watch.process.log.read_text()
    with pytest.raises(StandError) as caught:
        await client.obtain(*names)
    said = str(caught.value) + servers.watch.process.log.read_text().removeprefix(before)
    found = _UNPINNED.search(" ".join(said.split()))
    assert found is not None, said
    return found[1]


@pytest.mark.parametrize("name", CLIENTS)
async def test_client_is_refused_without_a_pin_and_then_obtains_and_renews(servers: Servers, name: str) -> None:
    client, asks_anyway = servers.client(name), CLIENTS[name][1]
    before = asked(servers.ca, "/chalZ")
    thumbprint = await refused(servers, client, *NAMES)
    assert (asked(servers.ca, "/chalZ") > before) is asks_anyway
    await servers.pin(thumbprint)
    await client.obtain(*NAMES)
    if isinstance(client, CertbotPlugin):
        assert "Congratulations, all renewals succeeded" in await client.renew()
    else:
        await client.obtain(*NAMES)
    await servers.is_nothing_published()


async def test_four_clients_at_once_obtain_certificates_for_one_name(servers: Servers) -> None:
    clients = [servers.client(name) for name in ("certbot plugin", "dehydrated", "uacme", "lego")]
    for client in clients:
        if not client.folder.exists():  # this test alone
            await servers.pin(await refused(servers, client, NAMES[0]))
    await asyncio.gather(*(client.obtain(NAMES[0]) for client in clients))
    await servers.is_nothing_published()
