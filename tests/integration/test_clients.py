"""Other ACME clients, each as its users run it: the responder answers their challenges through nginx.

Each is refused while its account is not pinned; then all at once obtain a certificate for the same two names, and renew
it. Nothing stays published. Each delivers another one by its deploy hook, and what is in its directory can be imported.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from stand.acme_clients import AcmeSh, CertbotHooks, CertbotPlugin, Client, Dehydrated, DehydratedChain, Lego, Uacme
from stand.challtestsrv import Challtestsrv
from stand.issuer import Issuer, IssuerSettings, NodeUnderTest
from stand.nginx import NginxServer, NginxSettings
from stand.pebble import Pebble, PebbleSettings
from stand.ports import free_port
from stand.processes import PROGRAMS, Process, Running, StandError, temporary_folder
from stand.responder import ResponderProcess
from tests.integration.observed import asked, installed
from tests.responder.http import ask_until
from tests.responder.messages import KEY, PUBLIC_KEY
from tests.trust_files import trusting
from wellkeeper_client import wire
from wellkeeper_client.publishers import Publisher
from wellkeeper_client.signing import encode_public_key
from wellkeeper_client.trust_file import Trust
from wellkeeper_node.certificates import reading
from wellkeeper_responder.settings import UnixAddress

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.any_python,
    pytest.mark.network,  # mounts, too
]

NAMES: Final = ("a.example.org", "b.example.org")
_UNPINNED: Final = re.compile(r"(?:does not answer|may not publish) for the ACME account (\S{43})")
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
    """`wellkeeper-publish --watch` of a webroot, for all names or for this one."""

    def __init__(self, folder: Path, environment: dict[str, str], *name: str) -> None:
        argv = [str(PROGRAMS / "wellkeeper-publish"), "--watch", environment["WEBROOT"], *name]
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
    issuer: Issuer
    environment: dict[str, str]
    pinned: set[str]

    def client(self, name: str) -> Client:
        make, _ = CLIENTS[name]
        return make(self.folder / name.replace(" ", "-"), self.ca, self.environment)

    async def pin(self, thumbprint: str) -> None:
        """Pin the account, and wait until the responder knows."""
        self.pinned.add(thumbprint)
        await self.trust()

    async def trust(self, *publishers: Publisher) -> None:
        """Trust the pinned accounts and these publishers, and wait until the responder knows."""
        trusting(self.folder, Trust(tuple(self.pinned), (PUBLIC_KEY,), publishers=publishers))
        wanted = self.pinned, [one.to_json() for one in publishers]
        await self._until(lambda status: (set(status["account_thumbprints"]), status["publishers"]) == wanted)

    async def is_nothing_published(self) -> None:
        """Wait until every token is withdrawn: a watched webroot follows its client by milliseconds."""
        await self._until(lambda status: status["counts"]["tokens"] == 0)

    async def _until(self, is_so: Callable[[Any], bool]) -> None:
        control = UnixAddress(self.responder.control_socket)
        await ask_until(control, wire.STATUS_PATH, lambda reply: is_so(reply.json()), seconds=60)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers() -> AsyncIterator[Servers]:
    with temporary_folder() as folder:
        write_key(folder / "key.pem", KEY)
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
        issuer = Issuer(folder / "deliver")
        environment["WELLKEEPER_CONFIG"] = str(issuer.config_path)
        node = NodeUnderTest("local", responder.control_address, http, ("127.0.0.1", free_port()))
        watch = Watch(folder, environment)
        async with (
            Challtestsrv(folder) as dns,
            Pebble(folder, PebbleSettings(dns.address, http[1], nonces_rejected_percent=0)) as ca,
            responder,
            nginx,
            watch,
        ):
            settings = IssuerSettings(ca.directory_url, ca.ca_bundle, {}, (node,), nginx.argv(), nginx.pid_path)
            issuer.configure(settings)
            await issuer.make_keys()
            yield Servers(folder, ca, responder, watch, issuer, environment, pinned)


def write_key(path: Path, key: Ed25519PrivateKey) -> None:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)


def leaf(chain: Path) -> str:
    return reading.read_certificate(chain.read_bytes()).fingerprint_sha256


async def refused(watch: Watch, client: Client, *names: str) -> str:
    """Let the client be refused for lack of a pin, and return the thumbprint that the message names."""
    before = watch.process.log.read_text()
    with pytest.raises(StandError) as caught:
        await client.obtain(*names)
    said = str(caught.value) + watch.process.log.read_text().removeprefix(before)
    found = _UNPINNED.search(" ".join(said.split()))
    assert found is not None, said
    return found[1]


@pytest.mark.timeout(900)
async def test_clients_are_refused_without_a_pin_and_then_obtain_and_renew_all_at_once(servers: Servers) -> None:
    clients = {name: servers.client(name) for name in CLIENTS}
    careful = [client for name, client in clients.items() if not CLIENTS[name][1]]
    others = [client for client in clients.values() if client not in careful]
    before = asked(servers.ca, "/chalZ")
    pins = await asyncio.gather(*(refused(servers.watch, client, *NAMES) for client in careful))
    assert asked(servers.ca, "/chalZ") == before
    pins += [
        await refused(servers.watch, client, *NAMES) for client in others
    ]  # two of them share the log of the watch
    assert asked(servers.ca, "/chalZ") >= before + len(others)
    for pin in pins:
        await servers.pin(pin)
    await asyncio.gather(*(client.obtain(*NAMES) for client in clients.values()))
    plugin = clients.pop("certbot plugin")
    assert isinstance(plugin, CertbotPlugin)
    renewed, *_ = await asyncio.gather(plugin.renew(), *(client.obtain(*NAMES) for client in clients.values()))
    assert "Congratulations, all renewals succeeded" in renewed
    await servers.is_nothing_published()
    clients.pop("dehydrated with HOOK_CHAIN")
    own = {f"{type(client).__name__.lower()}.example.org": client for client in clients.values()}
    await asyncio.gather(*(client.obtain(name, delivers=True) for name, client in own.items()))
    for name, client in own.items():
        assert installed(servers.issuer, name) == leaf(client.chain(name))
    for name in ("acme.sh", "lego", "dehydrated"):
        imported = await servers.issuer.run_well("import", name, str(clients[name].folder), "--apply", "--json")
        done = {one["name"]: one["done"] for one in imported.json()["taken"]}
        assert done[NAMES[0]].startswith(("imported", "already imported"))
        assert imported.json()["left_out"] == []


@pytest.mark.timeout(300)
async def test_clients_with_the_key_of_a_publisher_obtain_for_its_names_only(servers: Servers) -> None:
    key, path, own = Ed25519PrivateKey.generate(), servers.folder / "publisher.pem", servers.folder / "own"
    write_key(path, key)
    own.mkdir()
    environment = servers.environment | {"WELLKEEPER_PUBLISH_KEY": str(path), "WEBROOT": str(own)}
    uacme, lego = (make(own / make.__name__, servers.ca, environment) for make in (Uacme, Lego))
    publisher = Publisher("shop", ("A" * 43,), (encode_public_key(key.public_key()),), NAMES)
    await servers.trust(publisher)
    async with Watch(own, environment, NAMES[0]) as watch:
        accounts = await refused(watch, uacme, *NAMES), await refused(watch, lego, NAMES[0])
        await servers.trust(replace(publisher, account_thumbprints=accounts))
        await asyncio.gather(uacme.obtain(*NAMES), lego.obtain(NAMES[0]))
        assert leaf(uacme.chain(NAMES[0])) != leaf(lego.chain(NAMES[0]))
        with pytest.raises(StandError, match=r"publisher shop may not publish for c\.example\.org"):
            await uacme.obtain("c.example.org")
        await servers.is_nothing_published()
    await servers.trust()
