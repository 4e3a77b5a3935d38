"""publish: the CA is asked only after every responder and every node's nginx has the token."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from tests.fakes_obtain import FakeProgress, FakeReadBacks
from tests.node.nodes import Nodes, RunningNode
from tests.responder.messages import OTHER_TOKEN, THUMBPRINT, TOKEN
from wellkeeper_issuer.model import Authorization, Challenge, Order, Ordered, Status
from wellkeeper_issuer.obtain.publish import ReadBacks, answers, publish, read_back_error
from wellkeeper_issuer.obtain.vetoes import Vetoes
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_node.errors import PublishError
from wellkeeper_node.model import Answer, Node, ReadBack

ANSWERS = (Answer(TOKEN, THUMBPRINT, dns("a.example")), Answer(OTHER_TOKEN, THUMBPRINT, dns("b.example")))
ORDER = Order("https://ca.example/order/1", Status.PENDING, (), "https://ca.example/order/1/finalize")


@pytest.fixture
def probes() -> FakeReadBacks:
    return FakeReadBacks()


@pytest.fixture
def progress() -> FakeProgress:
    return FakeProgress()


@pytest.fixture
def read_backs(
    nodes: Nodes, probes: FakeReadBacks, progress: FakeProgress, state: State, clock: FakeClock
) -> ReadBacks:
    return ReadBacks(nodes.nodes, probes, progress, Vetoes(state.vetoes, clock))


def authorization(
    name: str, status: Status = Status.PENDING, token: str | None = TOKEN, others: Sequence[str] = ()
) -> Authorization:
    challenge = Challenge("https://ca.example/chall", token, status) if token else None
    return Authorization("https://ca.example/authz", dns(name), status, challenge, tuple(others))


async def test_answers_are_published_and_read_back_only_inside_the_context(
    nodes: Nodes, probes: FakeReadBacks, read_backs: ReadBacks
) -> None:
    async with publish(ANSWERS, nodes.responders, read_backs, "web"):
        assert await nodes.holding(TOKEN) == ["n1", "n2"]
        assert await nodes.holding(OTHER_TOKEN) == ["n1", "n2"]
        assert sorted(probes.asked) == sorted((node, token) for node in ("n1", "n2") for token in (TOKEN, OTHER_TOKEN))
    assert await nodes.holding(TOKEN) + await nodes.holding(OTHER_TOKEN) == []


async def test_answers_are_withdrawn_after_an_exception(nodes: Nodes, read_backs: ReadBacks) -> None:
    with pytest.raises(ZeroDivisionError):
        async with publish(ANSWERS, nodes.responders, read_backs, "web"):
            raise ZeroDivisionError
    assert await nodes.holding(TOKEN) == []


async def test_answers_are_withdrawn_after_a_cancellation(nodes: Nodes, read_backs: ReadBacks) -> None:
    inside = asyncio.Event()

    async def stay() -> None:
        async with publish(ANSWERS, nodes.responders, read_backs, "web"):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(stay())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await nodes.holding(TOKEN) + await nodes.holding(OTHER_TOKEN) == []


async def test_nothing_is_read_back_when_a_responder_is_down(
    nodes: Nodes, probes: FakeReadBacks, read_backs: ReadBacks
) -> None:
    await nodes["n2"].stop()
    with pytest.raises(
        PublishError, match=r"the CA was not asked.*node 'n2' \(unix:/.*wellkeeper-responder runs there"
    ):
        await publish(ANSWERS, nodes.responders, read_backs, "web").__aenter__()
    assert probes.asked == []


async def test_failed_read_back_names_node_address_url_status_and_cause(
    nodes: Nodes, probes: FakeReadBacks, read_backs: ReadBacks
) -> None:
    probes.causes["n2"] = "no location for it"
    with pytest.raises(PublishError) as caught:
        await publish(ANSWERS[:1], nodes.responders, read_backs, "web").__aenter__()
    assert str(caught.value) == (
        "the CA was not asked, because the read-back failed; it is asked anyway from 2026-03-02 12:00 UTC:"
        f" node 'n2' at 127.0.0.1:80: http://a.example/.well-known/acme-challenge/{TOKEN} gave HTTP 404: no location"
        ' for it. If only the read-back is wrong, as behind a NAT, set read_back = "advisory",'
        " then run 'wellkeeper reload' if a daemon runs."
    )
    assert await nodes.holding(TOKEN) == []


class OnlyOnce(FakeReadBacks):
    """The responder restarts just before the read-back, which fails."""

    def __init__(self, restarted: RunningNode) -> None:
        super().__init__()
        self._restarted = restarted
        self._restart = asyncio.Lock()
        self.was_restarted = False

    async def read_back(self, node: Node, answer: Answer) -> tuple[ReadBack, ...]:
        await self._restart_once()
        is_held = await self._restarted.holds(answer.token)
        self.causes = {} if is_held else {"n1": "the responder does not know the token"}
        return await super().read_back(node, answer)

    async def _restart_once(self) -> None:
        async with self._restart:
            if self.was_restarted:
                return
            self.was_restarted = True
            await self._restarted.stop()
            await self._restarted.start()


async def test_responder_that_restarts_before_the_read_back_costs_nothing(
    nodes: Nodes, progress: FakeProgress, state: State, clock: FakeClock
) -> None:
    read_backs = ReadBacks(nodes.nodes, OnlyOnce(nodes["n1"]), progress, Vetoes(state.vetoes, clock))
    async with publish(ANSWERS, nodes.responders, read_backs, "web"):
        assert await nodes.holding(TOKEN) == ["n1", "n2"]
    assert await state.vetoes.read_vetoes("web") == {}
    assert progress.lines == []


async def test_failed_advisory_read_back_is_reported_and_the_ca_asked(
    nodes: Nodes, probes: FakeReadBacks, progress: FakeProgress
) -> None:
    probes.causes["n2"] = "no location for it"
    read_backs = ReadBacks(nodes.nodes, probes, progress, None)
    async with publish(ANSWERS[:1], nodes.responders, read_backs, "web"):
        assert await nodes.holding(TOKEN) == ["n1", "n2"]
    (line,) = progress.lines
    assert line.startswith(
        "web WARNING: the read-back failed, the CA is still asked (read_back = advisory): node 'n2' at "
    )


async def test_advisory_mode_does_not_apply_to_responders(
    nodes: Nodes, probes: FakeReadBacks, progress: FakeProgress
) -> None:
    await nodes["n1"].stop()
    read_backs = ReadBacks(nodes.nodes, probes, progress, None)
    with pytest.raises(PublishError, match="node 'n1'"):
        await publish(ANSWERS, nodes.responders, read_backs, "web").__aenter__()


def test_only_pending_authorizations_are_published() -> None:
    several = (authorization("a.example"), authorization("b.example", Status.VALID), authorization("c.example"))
    assert [str(one.identifier) for one in answers(Ordered(ORDER, several), THUMBPRINT)] == ["a.example", "c.example"]
    assert answers(Ordered(ORDER, several[:1]), THUMBPRINT)[0].key_authorization == f"{TOKEN}.{THUMBPRINT}"


@pytest.mark.parametrize(("others", "words"), [(("dns-01", "tls-alpn-01"), "dns-01, tls-alpn-01"), ((), "none")])
def test_missing_http01_challenge_names_the_offered_ones(others: tuple[str, ...], words: str) -> None:
    ordered = Ordered(ORDER, (authorization("a.example", token=None, others=others),))
    with pytest.raises(
        PublishError, match=rf"not offer an http-01 challenge for a\.example: it offers: {words}\. .*http-01 only"
    ):
        answers(ordered, THUMBPRINT)


def test_valid_authorization_does_not_need_http01() -> None:
    assert answers(Ordered(ORDER, (authorization("a.example", Status.VALID, None),)), THUMBPRINT) == ()


def test_error_names_all_nodes_whose_read_backs_failed_but_not_too_many() -> None:
    def failed(node: str, cause: str) -> ReadBack:
        return ReadBack(node, "http://a.example/x", "192.0.2.1:80", 403, cause, "Allow it.")

    found = (("web2", "denied"), ("web2", "gone"), ("web3", "late"), ("web3", "x"))
    error = read_back_error([failed(*one) for one in found])
    first = "node 'web2' at 192.0.2.1:80: http://a.example/x gave HTTP 403: denied"
    assert (error.what, error.why) == ("4 read-backs failed", f"{first}; node 'web3': late")
    many = read_back_error([failed(f"web{number}", "denied") for number in range(2, 8)])
    assert many.why.endswith("; node 'web5': denied; and 2 other nodes")
