"""A node of a fleet with its real relay, responder, nginx and agent; the test plays the issuer with the fleet key."""

import asyncio
import itertools
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from stand.nginx import NginxServer, NginxSettings, Site
from stand.node import PROGRAM, NodeProcess
from stand.ports import free_port
from stand.relay import RelayProcess
from stand.responder import ResponderProcess
from tests.fakes_deliver import FakeCa, dns
from tests.relay.messages import FLEET_KEY, PUBLIC_FLEET_KEY
from tests.responder.messages import KEY, PUBLIC_KEY, THUMBPRINT, withdrawal
from tests.trust_files import trusting
from wellkeeper_client import records
from wellkeeper_client.fleet_bodies import NodeBody, PublicationBody
from wellkeeper_client.records import Kind, Record
from wellkeeper_client.signing import Publication, key_id, sign_publication, sign_withdrawal
from wellkeeper_client.trust_file import Trust
from wellkeeper_issuer.fleet.manifest import Listed, next_manifest, sign_manifest
from wellkeeper_issuer.fleet.sealing import Sealed, seal, wrap
from wellkeeper_node.agent.keys import NodeKeys
from wellkeeper_node.agent.report import Report, parse_report
from wellkeeper_node.bundles import content
from wellkeeper_node.bundles.manifest import MANIFEST_KEY, Leaves, Manifest
from wellkeeper_node.bundles.model import Version
from wellkeeper_node.certificates import reading
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import UnavailableError
from wellkeeper_node.model import Pair
from wellkeeper_node.process import Finished, run
from wellkeeper_node.records.relay import RelayRecords

NODE: Final = "web2"
NAME: Final = "www.example.org"
LINEAGE: Final = "web"


@dataclass
class PlayedIssuer:
    """Puts signed records into the relay; it keeps them, so that a relay that restarted can be filled again."""

    relay: RelayRecords
    keys: NodeKeys
    ca: FakeCa = field(default_factory=lambda: FakeCa(datetime.now(UTC)))
    wanted: dict[str, bytes] = field(default_factory=dict)
    listed: dict[str, Sealed] = field(default_factory=dict)
    manifest: Manifest | None = None
    pairs: list[Pair] = field(default_factory=list)

    async def enrol(self) -> None:
        public, now = self.keys.public, int(time.time())
        body = NodeBody(content.to_base64url(public.signing_key), content.to_base64url(public.sealing_key))
        await self.put(Record(f"node/{NODE}", now, now, now + 86_400, body.to_json()))

    async def publish(self, token: str, jti: str, *, seconds: int = 600) -> None:
        now = int(time.time())
        message = sign_publication(Publication(token, THUMBPRINT, NAME, jti, now, now + seconds), KEY)
        await self.put(Record(f"publication/{jti}", 1, now, now + seconds, PublicationBody(message).to_json()))

    async def withdraw(self, token: str, jti: str) -> None:
        now = int(time.time())
        message = sign_withdrawal(withdrawal(jti, token=token, issued_at=now), KEY)
        body = PublicationBody(message, is_withdrawal=True)
        await self.put(Record(f"publication/{jti}", 2, now, now + 600, body.to_json()))

    async def deliver(self, number: int, pair: Pair | None = None, *, disown: Leaves | None = None) -> str:
        """Send this version of the certificate, and return the fingerprint of its leaf."""
        pair = pair or self.ca.pair(dns(NAME))
        self.pairs.append(pair)
        now, version = datetime.now(UTC), Version(number, f"20260301T110000Z-{number:08x}")
        sealed = self.listed[LINEAGE] = seal(LINEAGE, version, pair, [dns(NAME)], now)
        stamp = int(now.timestamp())
        await self.put(sealed.bundle.to_record(stamp))
        await self.put(wrap(sealed, NODE, self.keys.public.sealing_key).to_record(stamp))
        await self.list(disown=disown)
        return sealed.entry.leaf_sha256

    async def list(self, *, disown: Leaves | None = None) -> None:
        """Sign a manifest of what was delivered."""
        listed = Listed({name: one.entry for name, one in self.listed.items()}, {}, disown or {})
        known, now = self.manifest, int(time.time())
        self.manifest = next_manifest(known, listed, now) or known
        assert self.manifest is not None
        await self.write(MANIFEST_KEY, sign_manifest(self.manifest, FLEET_KEY))

    async def put(self, record: Record) -> None:
        await self.write(record.key, records.sign(record, FLEET_KEY).encode())

    async def write(self, key: str, message: bytes) -> None:
        self.wanted[key] = message
        current = await self.relay.get(key)
        await self.relay.put(key, message, expected=current.version if current else None)

    async def fill(self) -> None:
        """Do what the issuer does after a restart of the relay."""
        for key, message in self.wanted.items():
            await self.write(key, message)

    async def report(self, is_wanted: Callable[[Report], bool]) -> Report:
        """Wait for such a report; the time-out of the test is the limit."""
        for _ in itertools.count():
            try:
                async with aclosing(self.relay.follow(Kind.REPORT)) as updates:
                    async for update in updates:
                        for stored in update.records:
                            if is_wanted(found := self._checked(stored.value)):
                                return found
            except UnavailableError:
                await asyncio.sleep(0.05)
        raise AssertionError

    def _checked(self, message: bytes) -> Report:
        key = self.keys.signing_key.public_key()
        record = records.check(message, {key_id(key): key}, Kind.REPORT, time.time())
        return parse_report(NODE, record.body)


@dataclass(frozen=True, slots=True)
class NodeHost:
    """All but the agent runs, which tests start themselves."""

    folder: Path
    relay: RelayProcess
    responder: ResponderProcess
    nginx: NginxServer
    issuer: PlayedIssuer
    settings: str
    environment: Mapping[str, str] | None

    def agent(
        self, more: str = "", environment: Mapping[str, str] | None = None, entering: Sequence[str] = ()
    ) -> NodeProcess:
        """Return the agent, with more settings, in this environment, run by the program `entering`."""
        return NodeProcess(
            self.folder / "node", self.settings + more, environment or self.environment, entering=entering
        )

    async def served(self) -> str:
        """Return the fingerprint of the leaf that nginx serves."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        https = self.nginx.settings.https[0]
        _, writer = await asyncio.open_connection(*https, ssl=context, server_hostname=NAME)
        leaf = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        return reading.read_certificate(leaf).fingerprint_sha256


async def status_with(
    is_wanted: Callable[[str], bool], agent: NodeProcess, *options: str, environment: Mapping[str, str] | None = None
) -> Finished:
    """Run `wellkeeper-node status` until its output is wanted: the agent writes what it shows after its report."""
    argv = [str(PROGRAM), "status", *options, "--config", str(agent.config_path)]
    while not is_wanted((shown := await run(argv, 120, 65_536, environment)).output):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.5)
    return shown


@asynccontextmanager
async def node_host(folder: Path, environment: Mapping[str, str] | None = None) -> AsyncIterator[NodeHost]:
    """Run a host whose nginx has a first certificate; `environment` is that of its own programs."""
    http, https = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
    certificates, node = folder / "certificates", folder / "node"
    node.mkdir()
    keys = NodeKeys(node / "state")
    keys.make()
    folders = CertificateFolders(certificates)
    await folders.switch(LINEAGE, await folders.write(LINEAGE, FakeCa(datetime.now(UTC)).pair(dns(NAME))))
    trusted = trusting(folder / "trust", Trust((THUMBPRINT,), (PUBLIC_KEY,), (PUBLIC_FLEET_KEY,)))
    sockets = folder / "responder"
    site = Site((NAME,), certificates / "live" / LINEAGE)
    nginx = NginxServer(folder / "nginx", NginxSettings(sockets / "public.sock", (http,), (https,), (site,)))
    relay = RelayProcess(folder / "relay", (PUBLIC_FLEET_KEY,))
    async with AsyncExitStack() as stack:
        responder = await stack.enter_async_context(ResponderProcess(sockets, trusted, environment=environment))
        await stack.enter_async_context(nginx)
        await stack.enter_async_context(relay)
        records_of_issuer = RelayRecords(f"unix:{relay.issuer_socket}", SystemClock())
        stack.push_async_callback(records_of_issuer.close)
        issuer = PlayedIssuer(records_of_issuer, keys)
        await issuer.enrol()
        settings = f"""\
name = "{NODE}"
relays = ["{relay.address}"]
state_dir = "{node}/state"
certificates_dir = "{certificates}"
responder = "{responder.control_address}"
trust_file = "{trusted}"
http_addresses = ["{http[0]}:{http[1]}"]
https_addresses = ["{https[0]}:{https[1]}"]

[nginx]
command = {list(nginx.argv())}
pid_file = "{nginx.pid_path}"
"""
        yield NodeHost(folder, relay, responder, nginx, issuer, settings, environment)
