"""An agent in this process: relays in memory, a real responder, fakes of disk and nginx, and simulated time."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from tests.fakes import FakeClock
from tests.fakes_certificates import FakeCertificates
from tests.fakes_deliver import NOW
from tests.fleet import CA, TIME, WEB2, A, public, version
from tests.issuer.fleet.relays import FakeRelay
from tests.node.agent.fakes import ADDRESS, LoadingNginx, ServingProbes
from tests.node.nodes import RunningNode
from tests.relay.messages import FLEET_KEY, FLEET_KEYS, WEB2_KEY
from tests.responder.messages import KEY, THUMBPRINT, TOKEN, withdrawal
from tests.virtual_time import VirtualClock, VirtualLoop
from wellkeeper_client import records
from wellkeeper_client.fleet_bodies import NodeBody, PublicationBody
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind, Record
from wellkeeper_client.signing import Publication, encode_public_key, key_id, sign_publication, sign_withdrawal
from wellkeeper_issuer.fleet.manifest import Listed, next_manifest, sign_manifest
from wellkeeper_issuer.fleet.sealing import Sealed, seal, wrap
from wellkeeper_node.agent.agent import Agent, Own, Work
from wellkeeper_node.agent.fetching import Fetching
from wellkeeper_node.agent.inbox import Inbox
from wellkeeper_node.agent.issuers import HeardIssuers
from wellkeeper_node.agent.links import Link
from wellkeeper_node.agent.manifests import Manifests
from wellkeeper_node.agent.numbers import ReportNumbers
from wellkeeper_node.agent.pending import Pending
from wellkeeper_node.agent.pickup import Parts, Pickup
from wellkeeper_node.agent.progress import LoggedProgress
from wellkeeper_node.agent.report import CertificateState, Report, parse_report
from wellkeeper_node.agent.responder import OwnResponder
from wellkeeper_node.agent.shown import Shown, StatusFile
from wellkeeper_node.agent.tokens import Tokens
from wellkeeper_node.bundles import content
from wellkeeper_node.bundles.kept import ManifestFile
from wellkeeper_node.bundles.manifest import MANIFEST_KEY, Leaves, Manifest
from wellkeeper_node.bundles.opening import Opener
from wellkeeper_node.deliver.batch import Deliveries, Pace
from wellkeeper_node.deliver.local import LocalDelivery
from wellkeeper_node.model import (
    Installed,
    Pair,
)
from wellkeeper_node.responders.client import ResponderClient

NODE: Final = "web2"
JTI: Final = "p-0000000000000001"


def virtually(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run the test in simulated time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work())


@dataclass
class PlayedIssuer:
    """Puts records into all relays."""

    relays: Sequence[FakeRelay]
    listed: dict[str, Sealed] = field(default_factory=dict)
    manifest: Manifest | None = None

    async def enrol(self, **changes: Any) -> None:  # noqa: ANN401 - of the body
        body = NodeBody(encode_public_key(WEB2_KEY.public_key()), content.to_base64url(public(WEB2)))
        record = Record(f"node/{NODE}", TIME, TIME, TIME + 86_400, replace(body, **changes).to_json())
        await self.put(record)

    async def publish(self, token: str = TOKEN, jti: str = JTI, *, identifier: str = A.value) -> None:
        message = sign_publication(Publication(token, THUMBPRINT, identifier, jti, TIME, TIME + 600), KEY)
        await self.put(Record(f"publication/{jti}", 1, TIME, TIME + 600, PublicationBody(message).to_json()))

    async def withdraw(self, token: str = TOKEN, jti: str = JTI) -> None:
        body = PublicationBody(sign_withdrawal(withdrawal(jti, token=token), KEY), is_withdrawal=True)
        await self.put(Record(f"publication/{jti}", 2, TIME, TIME + 600, body.to_json()))

    async def deliver(self, number: int, pair: Pair | None = None, lineage: str = "web") -> Pair:
        pair = pair or CA.pair(A)
        await self.send(lineage, seal(lineage, version(number), pair, [A], NOW))
        await self.list()
        return pair

    async def send(self, lineage: str, sealed: Sealed) -> None:
        """Send bundle and wrap, before the manifest."""
        self.listed[lineage] = sealed
        await self.put(sealed.bundle.to_record(TIME))
        await self.put(wrap(sealed, NODE, public(WEB2)).to_record(TIME))

    async def list(self, *, retire: Leaves | None = None, disown: Leaves | None = None) -> bytes:
        listed = Listed({name: one.entry for name, one in self.listed.items()}, retire or {}, disown or {})
        self.manifest = next_manifest(self.manifest, listed, TIME) or self.manifest
        assert self.manifest is not None
        message = sign_manifest(self.manifest, FLEET_KEY)
        await self.write(MANIFEST_KEY, message)
        return message

    async def put(self, record: Record) -> None:
        await self.write(record.key, records.sign(record, FLEET_KEY).encode())

    async def write(self, key: str, message: bytes) -> None:
        for relay in self.relays:
            current = await relay.get(key)
            await relay.put(key, message, expected=current.version if current else None)


class MadeNode:
    """The agent with everything around it.

    `hooked` are the lineages whose deploy hook ran, `shown` the reports that were written to disk.
    """

    def __init__(
        self, folder: Path, *, relays: int = 1, answers: bool = True, has_hook: bool = False, version: str = "1.2.3"
    ) -> None:
        self.folder, self.clock, self.hooked = folder, VirtualClock(NOW), list[str]()
        self.relays = [FakeRelay(FakeClock(NOW)) for _ in range(relays)]
        self.issuer = PlayedIssuer(self.relays)
        self.responder = RunningNode(folder, NODE, FakeClock(NOW))
        self.certificates = FakeCertificates()
        self.probes = ServingProbes(self.certificates)
        self.nginx = LoadingNginx(self.certificates, self.probes)
        self.retired: list[str] = []
        self.shown: list[Report] = []
        self.hook_fails_for: dict[str, Exception] = {}
        self.live_error: Exception | None = None
        self.ahead_seconds: float | None = None
        self.enrolled: Callable[[NodeBody], bool] = lambda _: False
        self.disk = asyncio.Event()
        self.disk.set()
        self.answers, self.has_hook, self.version = answers, has_hook, version
        self.links: list[Link] = []
        self._task: asyncio.Task[None] | None = None
        self._former: set[str] = set()

    async def reported(self, is_wanted: Callable[[Report], bool], relay: int = 0, every: float = 0.02) -> Report:
        """Wait until a relay has such a report of the running agent; look every so many seconds."""
        seen = set(self._former)
        while not self._task or not self._task.done():
            stored = await self._stored(relay)
            if stored is not None and stored.version not in seen:
                seen.add(stored.version)
                if is_wanted(found := self.read(stored)):
                    return found
            await asyncio.sleep(every)
        raise AssertionError("the agent ended") from self._task.exception()

    async def lost_contact(self) -> str:
        """Wait until the first relay does not answer, and return why."""
        for _ in itertools.takewhile(lambda _: not self.links[0].failure, itertools.count()):
            await asyncio.sleep(1)
        return self.links[0].failure

    async def _stored(self, relay: int) -> Stored | None:
        return await self.relays[relay].get(f"report/{NODE}") if self.relays[relay].is_up else None

    def read(self, stored: Stored) -> Report:
        key = WEB2_KEY.public_key()
        record = records.read(stored.value, {key_id(key): key}, Kind.REPORT)
        return parse_report(NODE, record.body)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Agent]:
        """Run the agent with its responder."""
        await self.responder.start()
        found = [await self._stored(relay) for relay in range(len(self.relays))]
        self._former = {one.version for one in found if one}
        client = ResponderClient(NODE, str(self.responder.control), WEB2_KEY, self.clock)
        agent, tokens = self._agent(client)
        task = self._task = asyncio.create_task(agent.run(self.links))
        try:
            yield agent
        finally:
            task.cancel()
            await asyncio.wait([task])
            await tokens.close()
            await client.close()
            await self.responder.stop()
        if not task.cancelled():
            task.result()

    async def _live(self) -> list[str]:
        if self.live_error is not None:
            raise self.live_error
        return list(self.certificates.live)

    async def _retire(self, lineage: str, _manifest: Manifest) -> None:
        self.retired.append(lineage)

    async def _hook(self, installed: Installed) -> None:
        if error := self.hook_fails_for.get(installed.lineage):
            raise error
        self.hooked.append(installed.lineage)

    def _agent(self, client: ResponderClient) -> tuple[Agent, Tokens]:
        def notify() -> None:
            for link in self.links:
                link.notify()

        status = StatusFile(NODE, self.folder)

        async def show(report: Report) -> None:
            await self.disk.wait()
            self.shown.append(report)
            await status.write(Shown(report, {link.name: link.failure for link in self.links}))

        responder = OwnResponder(client, self.clock, notify)
        tokens = Tokens(responder, self.responder.node, self.probes, self.clock, notify)
        fetching = Fetching(Opener(NODE, FLEET_KEYS, WEB2), self.relays, self.clock)
        pending = Pending(self.folder, has_hook=self.has_hook)
        batch = Deliveries(self.nginx, self.certificates, pending, self.clock, LoggedProgress(), Pace(1.0))
        delivery = LocalDelivery(self.nginx, self.probes, self.certificates, (ADDRESS,), batch)
        hook = self._hook if self.has_hook else None
        parts = Parts(fetching, self.certificates, delivery, pending, hook, self._retire)
        work = Work(
            inbox=Inbox(NODE, FLEET_KEYS, self.clock),
            tokens=tokens,
            responder=responder,
            manifests=Manifests(ManifestFile(self.folder / "manifest.jws", FLEET_KEYS), self.clock, notify),
            fetching=fetching,
            pickup=Pickup(parts, notify, self.clock),
            numbers=ReportNumbers(self.folder, self.clock),
            issuers=HeardIssuers(FLEET_KEYS, self.clock, notify),
            live=self._live,
            clock_ahead=lambda: self.ahead_seconds,
            show=show,
            choose=lambda: 0.5,
            enrolled=self.enrolled,
        )
        agent = Agent(Own(NODE, self.version, WEB2_KEY, self.answers), work, self.clock, asyncio.Event())
        self.links = [
            Link(f"relay{number}", one, agent, self.clock, work.choose) for number, one in enumerate(self.relays)
        ]
        return agent, tokens


def holds(report: Report, jti: str = JTI) -> bool:
    found = report.publications.get(jti)
    return found is not None and found.is_held and all(one.cause is None for one in found.read_backs)


def state(report: Report, number: int, lineage: str = "web") -> CertificateState | None:
    found = report.certificates.get(lineage)
    return found.state if found is not None and found.number == number else None


def is_served(number: int, report: Report) -> bool:
    return state(report, number) is CertificateState.SERVED
