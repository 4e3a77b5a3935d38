"""Fakes for obtaining a certificate: a CA, read-backs, progress, and watches that need no responder."""

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Final

from tests.fakes import FakeClock
from tests.fakes_root import FakeRoot
from tests.fakes_watch import FakeWatch, FakeWatches
from tests.responder.messages import THUMBPRINT
from wellkeeper_issuer.model import Authorization, Challenge, Order, Status
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.model import Answer, Certificate, Identifier, KeyAlgorithm, Node, Problem, ReadBack
from wellkeeper_node.ports import Responders

BASE: Final = "https://ca.example"


def token(number: int) -> str:
    return f"token{number:017d}"


@dataclass
class _Placed:
    order: Order
    csr_der: bytes = b""


async def _nothing() -> None:
    """Do nothing, unless a test says otherwise."""


class FakeAuthority:
    """`ports.CertificateAuthority` that accepts every answer and issues, unless a test says otherwise.

    `script` adds replies that precede the usual ones, by URL and once each; exceptions are raised, None is an order it
    does not know. `calls` lists the requests in order. `chain` makes the chain from a CSR.
    """

    def __init__(self, clock: FakeClock, directory_url: str = f"{BASE}/directory") -> None:
        self.name = "fake"
        self.directory_url = directory_url
        self.thumbprint = THUMBPRINT
        self.root = FakeRoot(clock)
        self.chain: Callable[[bytes], bytes] = self.root.chain
        self.calls: list[str] = []
        self.profiles: list[str | None] = []
        self.replaced: list[str | None] = []
        self.scripts: defaultdict[str, deque[Order | Authorization | WellkeeperError | None]] = defaultdict(deque)
        self.orders: dict[str, _Placed] = {}
        self.authorizations: dict[str, Authorization] = {}
        self.at_prepare: Callable[[], Awaitable[None]] = _nothing
        self.at_new_order: Callable[[], Awaitable[None]] = _nothing
        self.at_finalize: Callable[[], Awaitable[None]] = _nothing
        self.at_answer: Callable[[Challenge], Awaitable[None]] | None = None
        self.deactivation_error: WellkeeperError | None = None
        self.new_order_error: WellkeeperError | None = None
        self.refused: dict[str, Problem | None] = {}
        self.reuse_valid = False

    def script(self, url: str, *replies: Order | Authorization | WellkeeperError | None) -> None:
        self.scripts[url].extend(replies)

    def set_order(self, url: str, status: Status, problem: Problem | None = None) -> None:
        self.orders[url].order = replace(self.orders[url].order, status=status, problem=problem)

    def set_authorization(self, url: str, status: Status, problem: Problem | None = None) -> None:
        found = self.authorizations[url]
        if found.challenge is None:
            raise ValueError("an authorization without a challenge stays as it is")
        challenge = replace(found.challenge, status=status, problem=problem)
        self.authorizations[url] = replace(found, status=status, challenge=challenge)

    async def account_url(self) -> str:
        return f"{self.directory_url}/account/1"

    async def prepare(self) -> None:
        await self.at_prepare()

    async def new_order(self, identifiers: Sequence[Identifier], profile: str | None, replaces: str | None) -> Order:
        self.calls.append("newOrder")
        self.replaced.append(replaces)
        self.profiles.append(profile)
        if self.new_order_error:
            raise self.new_order_error
        number = len(self.orders) + 1
        url = f"{BASE}/order/{number}"
        urls = tuple(self._authorize(number * 100 + index, one) for index, one in enumerate(identifiers))
        is_ready = all(self.authorizations[one].status is Status.VALID for one in urls)
        order = Order(url, Status.READY if is_ready else Status.PENDING, urls, f"{url}/finalize")
        self.orders[url] = _Placed(order)
        await self.at_new_order()
        return self.orders[url].order

    async def read_order(self, url: str) -> Order | None:
        self.calls.append(f"read {url}")
        if self.scripts[url]:
            reply = self.scripts[url].popleft()
            if isinstance(reply, WellkeeperError):
                raise reply
            return reply if isinstance(reply, Order) else None
        return self.orders[url].order if url in self.orders else None

    async def read_authorization(self, url: str) -> Authorization:
        self.calls.append(f"read {url}")
        if self.scripts[url]:
            reply = self.scripts[url].popleft()
            if isinstance(reply, WellkeeperError):
                raise reply
            if isinstance(reply, Authorization):
                return reply
        return self.authorizations[url]

    async def deactivate_authorization(self, url: str) -> None:
        self.calls.append(f"deactivate {url}")
        if self.deactivation_error:
            raise self.deactivation_error
        self.set_authorization(url, Status.DEACTIVATED)

    async def answer_challenge(self, challenge: Challenge) -> None:
        self.calls.append(f"answer {challenge.token}")
        if self.at_answer:
            await self.at_answer(challenge)
        name = str(self.authorizations[challenge.url].identifier)
        status = Status.INVALID if name in self.refused else Status.VALID
        self.set_authorization(challenge.url, status, self.refused.get(name))
        self._decide()

    async def finalize(self, order: Order, csr_der: bytes) -> Order:
        self.calls.append(f"finalize {order.url}")
        await self.at_finalize()
        if self.scripts[order.finalize_url]:
            reply = self.scripts[order.finalize_url].popleft()
            if isinstance(reply, WellkeeperError):
                raise reply
            if isinstance(reply, Order):
                return reply
        self.issue(order.url, csr_der)
        return self.orders[order.url].order

    def issue(self, url: str, csr_der: bytes) -> None:
        placed = self.orders[url]
        placed.csr_der = csr_der
        placed.order = replace(placed.order, status=Status.VALID, certificate_url=f"{url}/certificate")

    async def read_chain(self, order: Order) -> bytes:
        self.calls.append(f"chain {order.url}")
        return self.chain(self.orders[order.url].csr_der)

    def _authorize(self, number: int, identifier: Identifier) -> str:
        """Return the authorization's URL, which is its challenge's too."""
        valid = [
            url
            for url, one in self.authorizations.items()
            if self.reuse_valid and one.identifier == identifier and one.status is Status.VALID
        ]
        if valid:
            return valid[0]
        url = f"{BASE}/authz/{number}"
        challenge = Challenge(url, token(number), Status.PENDING)
        self.authorizations[url] = Authorization(url, identifier, Status.PENDING, challenge, ("dns-01",))
        return url

    def _decide(self) -> None:
        for placed in self.orders.values():
            states = {self.authorizations[url].status for url in placed.order.authorization_urls}
            if placed.order.status is not Status.PENDING:
                continue
            if states == {Status.VALID}:
                placed.order = replace(placed.order, status=Status.READY)
            elif states & {Status.INVALID, Status.DEACTIVATED, Status.EXPIRED, Status.REVOKED}:
                placed.order = replace(placed.order, status=Status.INVALID)


class FakeReadBacks:
    """`ports.Probes` for read-backs that succeed, except for `causes` by node; `asked` lists node and token."""

    def __init__(self) -> None:
        self.causes: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []

    async def read_back(self, node: Node, answer: Answer) -> tuple[ReadBack, ...]:
        self.asked.append((node.name, answer.token))
        cause = self.causes.get(node.name)
        url = f"http://{answer.identifier}/.well-known/acme-challenge/{answer.token}"
        host, port = node.http_addresses[0]
        return (ReadBack(node.name, url, f"{host}:{port}", 404 if cause else 200, cause),)

    async def handshake(
        self,
        address: tuple[str, int],
        identifier: Identifier,
        key_algorithm: KeyAlgorithm | None = None,
        _speaks_proxy_protocol: bool | None = None,
    ) -> Certificate | None:
        raise ValueError(f"obtaining must not make handshakes: {address}, {identifier}, {key_algorithm}")


class FakeProgress:
    """`ports.Progress` with one line per call."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, lineage: str, stage: str) -> None:
        self.lines.append(f"{lineage} {stage} started")

    def finished(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        self.lines.append(f"{lineage} {stage} finished {seconds:g} {detail}")

    def failed(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        self.lines.append(f"{lineage} {stage} failed {seconds:g} {detail}")

    def note(self, lineage: str, text: str) -> None:
        self.lines.append(f"{lineage} {text}")


class QuickResponders:
    """Real responders whose fetches are reported without the quiet fifth of a second after each."""

    def __init__(self, real: Responders, clock: FakeClock) -> None:
        self._real = real
        self.watches = FakeWatches(clock)

    def publish(self, answers: Sequence[Answer], lineage: str = "") -> AbstractAsyncContextManager[None]:
        return self._real.publish(answers, lineage)

    async def withdraw_left(self, lineage: str = "") -> None:
        await self._real.withdraw_left(lineage)

    async def publish_again(self, answers: Sequence[Answer]) -> bool:
        return await self._real.publish_again(answers)

    def watch(self, token: str) -> AbstractAsyncContextManager[FakeWatch]:
        return self.watches.watch(token)
