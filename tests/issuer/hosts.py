"""A complete host for passes: real stages, state and responders with a fake CA, nginx and disk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tests.fakes import FakeClock, FakeHistory
from tests.fakes_around import FakeAuthorities, FakeHooks, FakeInfos, FakeNotifications
from tests.fakes_certificates import FakeCertificates
from tests.fakes_deliver import dns
from tests.fakes_nginx import FakeNginx
from tests.fakes_obtain import FakeAuthority, FakeProgress, FakeReadBacks, QuickResponders
from tests.node.nodes import Nodes
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.obtain.learned_fetches import LearnedFetches
from wellkeeper_issuer.obtain.limits import Limits
from wellkeeper_issuer.obtain.publish import ReadBacks
from wellkeeper_issuer.obtain.reach import Locations
from wellkeeper_issuer.obtain.request import Requests
from wellkeeper_issuer.obtain.throttle import Throttle
from wellkeeper_issuer.obtain.vetoes import Vetoes
from wellkeeper_issuer.outside.host.csr_files import CsrFolder
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.passes import Passes
from wellkeeper_issuer.renew import Found, Renewals
from wellkeeper_issuer.reports import Mode, Outcome, Report
from wellkeeper_issuer.upkeep.follow_up import FollowUp
from wellkeeper_issuer.upkeep.planner import RenewalPlanner
from wellkeeper_issuer.upkeep.sources import Sources
from wellkeeper_node.certificates import reading
from wellkeeper_node.deliver.batch import Deliveries
from wellkeeper_node.deliver.local import LocalDelivery
from wellkeeper_node.errors import InstallError, MissingVersionError
from wellkeeper_node.model import Answer, Certificate, Flip, Identifier, Installed, KeyAlgorithm, Node, ReadBack
from wellkeeper_node.nginx.absent import AbsentNginx
from wellkeeper_node.ports import Certificates, Nginx
from wellkeeper_node.steps import Steps

NAMES = ("a", "b", "c")
LINEAGES = [Lineage(name, (dns(f"{name}.example"),)) for name in NAMES]
ALL_SERVED = dict.fromkeys(NAMES, Outcome.SERVED)
_ADDRESSES = (("127.0.0.1", 443),)


class Folders(FakeCertificates):
    """Certificates that can lose a version or become unreadable."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: set[tuple[str, str | None]] = set()
        self.unreadable: set[str] = set()

    async def switch(self, lineage: str, version: str | None) -> str | None:
        if (lineage, version) in self.lost:
            raise MissingVersionError(f"/certificates/archive/{lineage} does not have version {version!r}")
        return await super().switch(lineage, version)

    async def installed(self, lineage: str) -> Installed | None:
        if lineage in self.unreadable:
            raise InstallError(f"cannot use /certificates/live/{lineage}: Permission denied")
        return await super().installed(lineage)


class Handshakes:
    """`ports.Probes` of the versions nginx loaded at its last reload, if its configuration names them.

    Versions in `stale` win over those, and handshakes with versions in `refused` are refused. `elsewhere` are an
    address and the version that is served only there.
    """

    def __init__(self, nginx: FakeNginx, certificates: Folders) -> None:
        self._nginx = nginx
        self._certificates = certificates
        self.defect_for: str | None = None
        self.stale: dict[str, str] = {}
        self.elsewhere: dict[str, tuple[tuple[str, int], str]] = {}
        self.refused: set[str] = set()
        self.refusals = 1000

    async def handshake(
        self,
        address: tuple[str, int],
        identifier: Identifier,
        key_algorithm: KeyAlgorithm | None = None,
        _speaks_proxy_protocol: bool | None = None,
    ) -> Certificate | None:
        if key_algorithm is not None:
            raise ValueError(f"nginx has one key type only, cannot serve {key_algorithm}")
        name = identifier.value.removesuffix(".example")
        if name == self.defect_for:
            raise RuntimeError("a defect")
        elsewhere, served_there = self.elsewhere.get(name, (None, ""))
        if address == elsewhere:
            return reading.read_certificate(self._certificates.pairs[name][served_there].chain_pem)
        if name not in self.stale and (name not in self._nginx.needed or not self._nginx.reloads):
            return None
        version = self.stale.get(name) or self._nginx.reloads[-1].get(name, "")
        if version in self.refused and self.refusals > 0:
            self.refusals -= 1
            return None
        return reading.read_certificate(self._certificates.pairs[name][version].chain_pem)

    async def read_back(self, node: Node, answer: Answer) -> tuple[ReadBack, ...]:
        raise ValueError(f"verifying must not read back: {node}, {answer}")


@dataclass(frozen=True, slots=True)
class Host:
    """All parts of one host, whose nginx needs all certificates unless a test says otherwise."""

    passes: Passes
    ca: FakeAuthority
    authorities: FakeAuthorities
    infos: FakeInfos
    hooks: FakeHooks
    notifications: FakeNotifications
    certificates: Folders
    nginx: FakeNginx
    handshakes: Handshakes
    state: State
    progress: FakeProgress
    clock: FakeClock
    nodes: Nodes
    history: FakeHistory

    def wait(self, seconds: float) -> None:
        """Let time pass for issuer and nodes."""
        self.clock.advance(seconds)
        self.nodes.advance(seconds)

    async def run(
        self, lineages: Sequence[Lineage] = LINEAGES, *, is_forced: bool = False, mode: Mode = Mode.RETRY
    ) -> dict[str, Report]:
        """Run a pass that does not wait after failures, unless the mode says otherwise."""
        self.ca.calls.clear()
        here = [replace(one, directory_urls=one.directory_urls or (self.ca.directory_url,)) for one in lineages]
        reports = await self.passes.run(here, Mode.FORCED if is_forced else mode)
        assert [report.lineage for report in reports] == [lineage.name for lineage in lineages]
        return {report.lineage: report for report in reports}


@dataclass(frozen=True, slots=True)
class RenewalParts:
    """The parts that the renewals of a test share."""

    state: State
    nodes: Nodes
    clock: FakeClock
    authorities: FakeAuthorities
    infos: FakeInfos


def make_renewals(
    parts: RenewalParts,
    certificates: Certificates,
    probes: FakeReadBacks,
    progress: FakeProgress,
    nginx: Nginx | None = None,
) -> Renewals:
    """Return renewals with real stages and responders."""
    state, clock = parts.state, parts.clock
    limits = Limits(state.ledger, clock, lambda name: name)
    return Renewals(
        sources=Sources(parts.authorities, limits, Throttle(1e9, clock), clock),
        planner=RenewalPlanner(state.schedules, parts.infos, clock, progress, _middle),
        records=state,
        attempts=state.attempts,
        delivery_records=state.deliveries,
        responders=QuickResponders(parts.nodes.responders, clock),
        read_backs=ReadBacks(parts.nodes.nodes, probes, progress, Vetoes(state.vetoes, clock)),
        learned_fetches=LearnedFetches(state.fetch_counts),
        locations=Locations((), probes, None, clock),
        requests=Requests(certificates, CsrFolder()),
        certificates=certificates,
        nginx=nginx or AbsentNginx(),
        clock=clock,
        progress=progress,
    )


async def look(renewals: Renewals, lineage: Lineage, mode: Mode) -> Found:
    """Read what is recorded and installed, and decide, as a pass does."""
    record = await renewals.records.read_lineage(lineage.name)
    return await renewals.look(lineage, record, await renewals.certificates.installed(lineage.name), mode)


async def renew(renewals: Renewals, lineage: Lineage, steps: Steps, mode: Mode) -> Flip:
    """Renew the certificate, due or not, and return the flip to deliver."""
    found = await look(renewals, lineage, mode)
    flip, _ = await renewals.renew(lineage, found, steps, mode)
    return flip


def make_host(
    state: State, nodes: Nodes, clock: FakeClock, wrap: Callable[[Certificates], Certificates] = lambda one: one
) -> Host:
    """Return a host whose nginx names all certificates; the other parts see them through `wrap`."""
    progress, folders, ca = FakeProgress(), Folders(), FakeAuthority(clock)
    certificates = wrap(folders)
    authorities, infos, hooks, notifications = FakeAuthorities(ca), FakeInfos(), FakeHooks(), FakeNotifications()
    nginx, history = FakeNginx(folders, clock), FakeHistory()
    nginx.needed = set(NAMES)
    handshakes = Handshakes(nginx, folders)
    renewals = make_renewals(
        RenewalParts(state, nodes, clock, authorities, infos), certificates, FakeReadBacks(), progress, nginx
    )
    batch = Deliveries(nginx, certificates, state.deliveries, clock, progress)
    passes = Passes(
        renewals,
        LocalDelivery(nginx, handshakes, certificates, _ADDRESSES, batch),
        FollowUp(state.schedules, state.notes, hooks, notifications, certificates, clock, _middle, history),
    )
    return Host(
        passes=passes,
        ca=ca,
        authorities=authorities,
        infos=infos,
        hooks=hooks,
        notifications=notifications,
        certificates=folders,
        nginx=nginx,
        handshakes=handshakes,
        state=state,
        progress=progress,
        clock=clock,
        nodes=nodes,
        history=history,
    )


def _middle() -> float:
    return 0.5


def outcomes(reports: dict[str, Report]) -> dict[str, Outcome]:
    return {name: report.outcome for name, report in reports.items()}
