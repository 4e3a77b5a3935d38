"""An environment for a year of simulated time: a CA with Let's Encrypt's limits, and a working nginx."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

from tests.fakes_certificates import FakeCertificates
from tests.fakes_obtain import token
from tests.fakes_root import FakeRoot
from tests.virtual_time import VirtualClock
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.model import Authorization, Challenge, Order, Status
from wellkeeper_issuer.obtain.due import renew_at
from wellkeeper_issuer.ports.ca import CertificateAuthority
from wellkeeper_issuer.published_limits import LETS_ENCRYPT
from wellkeeper_issuer.records import Limit, NoRenewalInfo, RenewalInfo, Window
from wellkeeper_node.certificates import reading
from wellkeeper_node.errors import Retry
from wellkeeper_node.model import (
    ERROR_PREFIX,
    Answer,
    Certificate,
    ExpectedFetches,
    Identifier,
    KeyAlgorithm,
    Node,
    Problem,
    ReadBack,
    Server,
    Tested,
)

DIRECTORY: Final = "https://acme-v02.api.letsencrypt.org/directory"
_FAILING: Final = 0.03


def days_of(identifier: Identifier) -> int:
    """Return the lifetime in days, which is part of the name: `d45-17.…`."""
    return int(identifier.value.partition("-")[0].removeprefix("d"))


def has_ari(name: str) -> bool:
    """Return True for a fifth of the names, and all of six days: daily requests for all would dominate the run time."""
    days, _, number = name.partition(".")[0].removeprefix("d").partition("-")
    return days == "6" or int(number) % 5 == 0


def domain_of(name: str) -> str:
    return ".".join(name.split(".")[-2:])


@dataclass
class Counted:
    """Times in seconds of what the CA counts, by limit and value; `broken` counts exceeded limits."""

    times: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    broken: Counter[str] = field(default_factory=Counter)

    def count(self, what: str, value: str, now: float, limit: tuple[int, float]) -> None:
        most, seconds = limit
        kept = [at for at in self.times.get((what, value), []) if at > now - seconds]
        self.times[what, value] = [*kept, now]
        if len(kept) + 1 > most:
            self.broken[what] += 1


class YearCa:
    """`ports.CertificateAuthority` and `ports.RenewalInfos`: issues every request unless it is down."""

    name = "year"
    directory_url = DIRECTORY
    thumbprint = "thumbprint"

    def __init__(self, clock: VirtualClock, random: Random, outage: tuple[datetime, datetime]) -> None:
        self._clock = clock
        self._random = random
        self._outage = outage
        self._root = FakeRoot(clock)
        self._orders: dict[str, tuple[tuple[Identifier, ...], bytes]] = {}
        self._failed: set[str] = set()
        self._exempt: set[str] = set()
        self._live: dict[str, Window] = {}
        self._had: set[frozenset[Identifier]] = set()
        self.counted = Counted()
        self.ends: dict[str, datetime] = {}
        self.issued = Counter[str]()
        self.replaced_count = 0

    def _check_is_up(self) -> None:
        if self._outage[0] <= self._clock.now() < self._outage[1]:
            raise OrderError("no answer from the CA", retry=Retry.SOON)

    async def account_url(self) -> str:
        return f"{DIRECTORY}/account"

    async def ask(self, _directory_url: str, certificate_id: str) -> RenewalInfo | NoRenewalInfo | None:
        if self._outage[0] <= self._clock.now() < self._outage[1]:
            return NoRenewalInfo("no answer", is_passing=True)
        return RenewalInfo(self._live[certificate_id], None, 86_400.0)

    async def prepare(self) -> None:
        """Nothing is needed."""

    async def new_order(self, identifiers: Sequence[Identifier], profile: str | None, replaces: str | None) -> Order:
        if profile is not None:
            raise ValueError(profile)
        self._check_is_up()
        now = self._clock.now()
        window = self._live.get(replaces or "")
        is_exempt = window is not None and window.start <= now <= window.end
        self.replaced_count += is_exempt
        url = f"https://ca.example/order/{self._random.random()}"
        if is_exempt:
            self._exempt.add(url)
        elif frozenset(identifiers) not in self._had:
            self.counted.count("orders", "", self._clock.monotonic(), (300, 10_800.0))
        self._orders[url] = (tuple(identifiers), b"")
        return self._order(url, Status.PENDING)

    def _order(self, url: str, status: Status) -> Order:
        return Order(url, status, (f"{url}/authz",), f"{url}/finalize", f"{url}/certificate")

    async def read_order(self, url: str) -> Order | None:
        self._check_is_up()
        if url not in self._orders:
            return None
        if url in self._failed:
            return self._order(url, Status.INVALID)
        return self._order(url, Status.READY)

    async def read_authorization(self, url: str) -> Authorization:
        self._check_is_up()
        order_url = url.removesuffix("/authz")
        identifier = self._orders[order_url][0][0]
        answered = self._orders[order_url][1] == b"answered"
        problem = None
        status = Status.VALID if answered else Status.PENDING
        if order_url in self._failed:
            status, problem = Status.INVALID, Problem(f"{ERROR_PREFIX}connection", "refused", 400)
        return Authorization(url, identifier, status, Challenge(url, token(1), status, problem))

    async def deactivate_authorization(self, url: str) -> None:
        raise ValueError(f"only rehearsals do: {url}")

    async def answer_challenge(self, challenge: Challenge) -> None:
        self._check_is_up()
        url = challenge.url.removesuffix("/authz")
        identifiers, _ = self._orders[url]
        self._orders[url] = (identifiers, b"answered")
        if self._random.random() < _FAILING:
            self._failed.add(url)
            self.counted.count("validation", identifiers[0].value, self._clock.monotonic(), (5, 3600.0))

    async def finalize(self, order: Order, csr_der: bytes) -> Order:
        self._check_is_up()
        identifiers, _ = self._orders[order.url]
        self._orders[order.url] = (identifiers, csr_der)
        return self._order(order.url, Status.VALID)

    async def read_chain(self, order: Order) -> bytes:
        identifiers, csr_der = self._orders.pop(order.url)
        asked = frozenset(identifiers)
        if order.url not in self._exempt:
            self.counted.count("set", str(sorted(asked)), self._clock.monotonic(), (5, 604_800.0))
            if asked not in self._had:
                for domain in {domain_of(one.value) for one in identifiers}:
                    self.counted.count("domain", domain, self._clock.monotonic(), (50, 604_800.0))
        chain = self._root.chain(csr_der, days_of(identifiers[0]), has_ari=has_ari(identifiers[0].value))
        certificate = reading.read_certificate(chain)
        # As in Boulder: 2 % of the lifetime around two thirds of it, or half.
        middle, part = renew_at(certificate.not_before, certificate.not_after), certificate.lifetime / 50
        self._live[certificate.certificate_id or ""] = Window(middle - part / 2, middle + part / 2)
        self._had.add(asked)
        self.ends[certificate.fingerprint_sha256[:8]] = certificate.not_after
        self.issued[identifiers[0].value] += 1
        return chain


class OneAuthority:
    """`ports.Authorities` with one CA and Let's Encrypt's limits."""

    def __init__(self, ca: YearCa) -> None:
        self._ca = ca

    @property
    def directory_urls(self) -> Sequence[str]:
        return (DIRECTORY,)

    async def load(self, directory_url: str) -> None:
        """Everything is loaded."""

    def open(self, directory_url: str) -> CertificateAuthority:
        if directory_url != DIRECTORY:
            raise ValueError(directory_url)
        return self._ca

    def limits(self, directory_url: str) -> Sequence[Limit]:
        return LETS_ENCRYPT if directory_url == DIRECTORY else ()


class WorkingResponders:
    """`ports.Responders` that always succeed; the CA fetches after a second."""

    clients = ("192.0.2.1",)
    count = 1

    async def settle(
        self, quiet_seconds: float, timeout_seconds: float, expected: ExpectedFetches | None = None
    ) -> bool:
        quiet_seconds = expected.quiet_seconds if expected and expected.count == 1 else quiet_seconds
        await asyncio.sleep(min(1.0 + quiet_seconds, timeout_seconds))
        return True

    @asynccontextmanager
    async def publish(self, answers: Sequence[Answer], lineage: str = "") -> AsyncIterator[None]:
        if not (answers and lineage):
            raise ValueError("nothing to publish")
        yield

    async def withdraw_left(self, lineage: str = "") -> None:
        if not lineage:
            raise ValueError("nothing is left of another process")

    async def publish_again(self, answers: Sequence[Answer]) -> bool:
        raise ValueError(f"no responder restarts, and all have {answers}")

    @asynccontextmanager
    async def watch(self, token: str) -> AsyncIterator["WorkingResponders"]:
        if not token:
            raise ValueError("nothing to watch")
        yield self


class WorkingNginx:
    """`ports.Nginx` and `ports.Probes`: names and serves all live certificates."""

    def __init__(self, certificates: FakeCertificates, names: Mapping[Identifier, str]) -> None:
        self._certificates = certificates
        self._names = names
        self.reloaded_at: list[float] = []

    async def test(self) -> Tested:
        return Tested(True, "", 0.1)

    async def prove(self) -> None:
        """Do nothing."""

    async def reload(self, tested: Tested | None) -> int:
        await asyncio.sleep(tested.seconds if tested else 0.1)
        self.reloaded_at.append(asyncio.get_running_loop().time())
        return 0

    async def finishing(self) -> int:
        return 0

    async def servers(self) -> Sequence[Server]:
        return ()

    async def named(self, _folders: Collection[str]) -> dict[str, str]:
        return {}

    async def handshake(
        self,
        _address: tuple[str, int],
        identifier: Identifier,
        key_algorithm: KeyAlgorithm | None = None,
        _speaks_proxy_protocol: bool | None = None,
    ) -> Certificate | None:
        installed = await self._certificates.installed(self._names[identifier])
        if installed is None or key_algorithm is not None:
            return None
        return installed.certificate

    async def read_back(self, node: Node, answer: Answer) -> tuple[ReadBack, ...]:
        raise ValueError(f"there are no nodes to read back from: {node}, {answer}")


@dataclass
class Expiry:
    """A periodic check for expired certificates."""

    certificates: FakeCertificates
    ca: YearCa
    clock: VirtualClock
    expired: set[str] = field(default_factory=set)

    async def watch(self, every: timedelta) -> None:
        while True:
            now = self.clock.now()
            self.expired |= {name for name, version in self.certificates.live.items() if self.ca.ends[version] <= now}
            await asyncio.sleep(every.total_seconds())
