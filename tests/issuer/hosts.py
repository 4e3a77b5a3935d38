"""A whole host for passes: real stages, journal and responders between a CA, an nginx and a disk that are fakes."""

from collections.abc import Sequence
from dataclasses import dataclass

from issuer import pki
from issuer.errors import InstallError
from issuer.model import Answer, Certificate, Identifier, Installed, KeyAlgorithm, Lineage, Node, ReadBack
from issuer.obtain.publish import ReadBacks, Vetoes
from issuer.outside.journal import SqliteJournal
from issuer.passes import Passes
from issuer.renew import Renewals
from issuer.reports import Outcome, Report
from tests.fakes import FakeClock
from tests.fakes_deliver import FakeCertificates, FakeNginx, dns
from tests.fakes_obtain import FakeAuthority, FakeProgress, FakeReadBacks, QuickResponders
from tests.issuer.nodes import Nodes

NAMES = ("a", "b", "c")
LINEAGES = [Lineage(name, (dns(f"{name}.example"),)) for name in NAMES]
ALL_SERVED = dict.fromkeys(NAMES, Outcome.SERVED)
_ADDRESSES = (("127.0.0.1", 443),)


class Folders(FakeCertificates):
    """Certificates of which some have lost a version, or may not be read."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: set[tuple[str, str | None]] = set()
        self.unreadable: set[str] = set()
        self.unreadable_once_read: set[str] = set()

    async def switch(self, lineage: str, version: str | None) -> str | None:
        if (lineage, version) in self.lost:
            raise InstallError(f"/certificates/archive/{lineage} has no version {version!r}")
        return await super().switch(lineage, version)

    async def installed(self, lineage: str) -> Installed | None:
        if lineage in self.unreadable:
            raise InstallError(f"cannot use /certificates/live/{lineage}: Permission denied")
        if lineage in self.unreadable_once_read:
            self.unreadable.add(lineage)
        return await super().installed(lineage)


class Handshakes:
    """`ports.Probes`: what nginx served since its last reload, if its configuration names it; `stale` versions win."""

    def __init__(self, nginx: FakeNginx, certificates: Folders) -> None:
        self._nginx = nginx
        self._certificates = certificates
        self.defect_for: str | None = None
        self.stale: dict[str, str] = {}

    async def handshake(
        self, _address: tuple[str, int], identifier: Identifier, key_algorithm: KeyAlgorithm | None = None
    ) -> Certificate | None:
        if key_algorithm is not None:
            raise ValueError(f"nginx has keys of one kind only, and somebody asks for {key_algorithm}")
        name = identifier.value.removesuffix(".example")
        if name == self.defect_for:
            raise RuntimeError("a defect")
        if name not in self._nginx.needed or not self._nginx.reloads:
            return None
        version = self.stale.get(name) or self._nginx.reloads[-1].get(name, "")
        return pki.read_certificate(self._certificates.pairs[name, version].chain_pem)

    async def read_back(self, node: Node, answer: Answer) -> tuple[ReadBack, ...]:
        raise ValueError(f"nobody reads back while verifying: {node}, {answer}")


@dataclass(frozen=True, slots=True)
class Host:
    """Everything of one host; nginx needs all certificates, as far as it is not told otherwise."""

    passes: Passes
    ca: FakeAuthority
    certificates: Folders
    nginx: FakeNginx
    handshakes: Handshakes
    journal: SqliteJournal
    progress: FakeProgress

    async def run(self, lineages: Sequence[Lineage] = LINEAGES, *, is_forced: bool = False) -> dict[str, Report]:
        self.ca.calls.clear()
        reports = await self.passes.run(lineages, is_forced=is_forced)
        assert [report.lineage for report in reports] == [lineage.name for lineage in lineages]
        return {report.lineage: report for report in reports}


def make_host(journal: SqliteJournal, nodes: Nodes, clock: FakeClock) -> Host:
    """Its nginx names all certificates."""
    progress, certificates, ca = FakeProgress(), Folders(), FakeAuthority(clock)
    nginx = FakeNginx(certificates, clock)
    nginx.needed = set(NAMES)
    read_backs = ReadBacks(nodes.nodes, FakeReadBacks(), progress, Vetoes(journal, clock))
    responders = QuickResponders(nodes.responders, clock)
    renewals = Renewals(ca, journal, responders, read_backs, certificates, clock, progress)
    handshakes = Handshakes(nginx, certificates)
    return Host(Passes(renewals, nginx, handshakes, _ADDRESSES), ca, certificates, nginx, handshakes, journal, progress)


def outcomes(reports: dict[str, Report]) -> dict[str, Outcome]:
    return {name: report.outcome for name, report in reports.items()}
