"""One certificate's renewal: the stages in order, and the state after a failure."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fakes import FakeClock
from tests.fakes_around import FakeAuthorities, FakeInfos
from tests.fakes_certificates import FakeCertificates
from tests.fakes_deliver import dns
from tests.fakes_obtain import BASE, FakeAuthority, FakeProgress, FakeReadBacks, token
from tests.fakes_state import FakeVetoes
from tests.issuer.hosts import RenewalParts, look, make_renewals, renew
from tests.node.nodes import Nodes
from wellkeeper_issuer import pki
from wellkeeper_issuer.errors import ChallengeError, DeferredError
from wellkeeper_issuer.model import Attempt, Lineage, Status
from wellkeeper_issuer.obtain.reach import Locations
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.records import Origin
from wellkeeper_issuer.renew import Renewals
from wellkeeper_issuer.reports import Mode
from wellkeeper_node.errors import InstallError, PublishError
from wellkeeper_node.model import Answer, Flip, KeyType, Node, Pair, ReadBack
from wellkeeper_node.steps import Steps

A, B = dns("a.example"), dns("b.example")
LINEAGE = Lineage("web", (A, B), directory_urls=(f"{BASE}/directory",))
ORDER = f"{BASE}/order/1"


@pytest.fixture
def probes() -> FakeReadBacks:
    return FakeReadBacks()


@pytest.fixture
def ca(clock: FakeClock) -> FakeAuthority:
    return FakeAuthority(clock)


@pytest.fixture
def certificates() -> FakeCertificates:
    return FakeCertificates()


@pytest.fixture
def progress() -> FakeProgress:
    return FakeProgress()


@pytest.fixture
def parts(ca: FakeAuthority, state: State, nodes: Nodes, clock: FakeClock) -> RenewalParts:
    return RenewalParts(state, nodes, clock, FakeAuthorities(ca), FakeInfos())


@pytest.fixture
def renewals(
    parts: RenewalParts, probes: FakeReadBacks, certificates: FakeCertificates, progress: FakeProgress
) -> Renewals:
    return make_renewals(parts, certificates, probes, progress)


@pytest.fixture
def steps(clock: FakeClock, progress: FakeProgress) -> Steps:
    return Steps("web", clock, progress)


async def reason(renewals: Renewals, lineage: Lineage = LINEAGE, mode: Mode = Mode.RETRY) -> str | None:
    found = await look(renewals, lineage, mode)
    return found.due.reason if found.due else None


async def test_renewal_runs_all_stages_in_order_and_records_the_delivery(
    renewals: Renewals,
    steps: Steps,
    progress: FakeProgress,
    ca: FakeAuthority,
    state: State,
    certificates: FakeCertificates,
    nodes: Nodes,
) -> None:
    flip = await renew(renewals, LINEAGE, steps, Mode.RETRY)
    assert list(steps.seconds) == ["order", "publish", "validate", "finalize", "install"]
    assert flip == Flip("web", None, certificates.live["web"])
    assert await state.deliveries.undelivered() == {"web": flip}
    assert await state.attempts.read_attempt("web") is None
    assert await state.deliveries.read_origin("web") == Origin(ca.directory_url, f"{ca.directory_url}/account/1")
    assert await nodes.holding(token(100)) == []
    installed = await certificates.installed("web")
    assert installed is not None
    assert installed.certificate.identifiers == {A, B}
    assert [line for line in progress.lines if "finished" in line] == [
        f"web order finished 0 {ORDER}, 2 authorizations",
        "web publish finished 0 2 tokens, read back through nginx",
        "web validate finished 1.4 a.example, b.example",
        "web finalize finished 0 chain of 2 certificates",
        f"web install finished 0 /certificates/live/web is version {flip.after}",
    ]


class Elsewhere(FakeReadBacks):
    """Answers as nginx does without the challenge location."""

    async def read_back(self, node: Node, answer: Answer) -> tuple[ReadBack, ...]:
        return tuple(replace(one, is_elsewhere=True) for one in await super().read_back(node, answer))


async def test_disk_is_not_written_to_while_nginx_does_not_answer_challenges(
    renewals: Renewals, certificates: FakeCertificates, nodes: Nodes, clock: FakeClock
) -> None:
    certificates.stuck.add("web")
    certificates.is_proof_wrong = False
    found = await look(renewals, LINEAGE, Mode.RETRY)
    waiting = replace(renewals, locations=Locations(nodes.nodes, Elsewhere(), FakeVetoes(), clock))
    with pytest.raises(DeferredError):
        await waiting.check_prospects(LINEAGE, found, Mode.RETRY)
    with pytest.raises(InstallError):
        await renewals.check_prospects(LINEAGE, found, Mode.RETRY)


async def test_nothing_is_obtained_without_permission(renewals: Renewals) -> None:
    def refuse() -> None:
        raise DeferredError("not yet")

    found = replace(await look(renewals, LINEAGE, Mode.FORCED), issued=Attempt("web", BASE, (A, B), b"", b""))
    with pytest.raises(DeferredError, match="not yet"):
        await replace(renewals, permit=refuse).check_prospects(LINEAGE, found, Mode.FORCED)
    await renewals.check_prospects(LINEAGE, found, Mode.FORCED)


async def test_nothing_is_finalized_once_another_issuer_acts_instead(
    renewals: Renewals, steps: Steps, progress: FakeProgress, state: State
) -> None:
    async def alone() -> None:
        if any("validate finished" in line for line in progress.lines):
            raise DeferredError("nothing is ordered here")

    paused = replace(renewals, sources=replace(renewals.sources, check_alone=alone))
    with pytest.raises(DeferredError, match="nothing is ordered here"):
        await renew(paused, LINEAGE, steps, Mode.RETRY)
    attempt = await state.attempts.read_attempt("web")
    assert attempt is not None
    assert attempt.chain_pem is None


async def test_tokens_are_published_while_the_ca_validates(
    renewals: Renewals, steps: Steps, ca: FakeAuthority, nodes: Nodes
) -> None:
    seen = []

    async def look(_: object) -> None:
        seen.append(await nodes.holding(token(100)))

    ca.at_answer = look
    await renew(renewals, LINEAGE, steps, Mode.RETRY)
    assert seen == [["n1", "n2"]] * 2


async def test_renewal_takes_the_same_path_as_first_issuance(
    renewals: Renewals, steps: Steps, state: State, certificates: FakeCertificates
) -> None:
    first = await renew(renewals, LINEAGE, steps, Mode.RETRY)
    await state.deliveries.record_reloaded(["web"])
    second = await renew(renewals, LINEAGE, steps, Mode.RETRY)
    assert second.before == first.after != second.after
    assert certificates.live["web"] == second.after


async def test_ca_is_not_asked_when_a_node_does_not_serve_the_token(
    renewals: Renewals, steps: Steps, ca: FakeAuthority, probes: FakeReadBacks, nodes: Nodes, progress: FakeProgress
) -> None:
    probes.causes["n2"] = "no location"
    with pytest.raises(PublishError) as caught:
        await renew(renewals, LINEAGE, steps, Mode.RETRY)
    assert caught.value.certificate == "web"
    assert not any(call.startswith("answer") for call in ca.calls)
    assert await nodes.holding(token(100)) == []
    assert progress.lines[-1].startswith("web publish failed 0 the CA was not asked, because ")


async def test_tokens_are_withdrawn_after_a_refusal(
    renewals: Renewals, steps: Steps, ca: FakeAuthority, nodes: Nodes
) -> None:
    ca.refused["a.example"] = None
    with pytest.raises(ChallengeError):
        await renew(renewals, LINEAGE, steps, Mode.RETRY)
    assert await nodes.holding(token(100)) + await nodes.holding(token(101)) == []


async def test_next_pass_after_a_refusal_makes_a_new_order(renewals: Renewals, steps: Steps, ca: FakeAuthority) -> None:
    ca.refused["a.example"] = None
    with pytest.raises(ChallengeError):
        await renew(renewals, LINEAGE, steps, Mode.RETRY)
    ca.refused.clear()
    await renew(renewals, LINEAGE, steps, Mode.RETRY)
    assert ca.calls.count("newOrder") == 2


async def test_cancellation_during_validation_withdraws_the_tokens(
    renewals: Renewals, steps: Steps, ca: FakeAuthority, nodes: Nodes
) -> None:
    looking = asyncio.Event()

    async def look(_: object) -> None:
        looking.set()
        await asyncio.Event().wait()

    ca.at_answer = look
    renewing = asyncio.create_task(renew(renewals, LINEAGE, steps, Mode.RETRY))
    await looking.wait()
    assert await nodes.holding(token(100)) == ["n1", "n2"]
    renewing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await renewing
    assert await nodes.holding(token(100)) == []
    ca.at_answer = None
    await renew(renewals, LINEAGE, steps, Mode.RETRY)
    assert ca.calls.count("newOrder") == 1


async def test_order_that_is_ready_is_not_validated_again(
    renewals: Renewals, steps: Steps, ca: FakeAuthority, progress: FakeProgress
) -> None:
    ca.reuse_valid = True
    await renew(renewals, LINEAGE, steps, Mode.RETRY)
    progress.lines.clear()
    await renew(renewals, LINEAGE, steps, Mode.RETRY)
    assert not any("publish" in line or "validate" in line for line in progress.lines)
    assert f"web order finished 0 {BASE}/order/2, already ready" in progress.lines


async def test_renewal_of_an_undelivered_version_rolls_back_to_the_last_loaded_one(
    renewals: Renewals, steps: Steps, state: State
) -> None:
    first = await renew(renewals, LINEAGE, steps, Mode.RETRY)
    await state.deliveries.record_reloaded(["web"])
    second = await renew(renewals, LINEAGE, steps, Mode.RETRY)
    third = await renew(renewals, LINEAGE, steps, Mode.RETRY)
    assert (second.before, third.before) == (first.after, first.after)
    assert await state.deliveries.undelivered() == {"web": third}


async def test_not_due_after_a_renewal_unless_forced(renewals: Renewals, steps: Steps, clock: FakeClock) -> None:
    await renew(renewals, LINEAGE, steps, Mode.RETRY)
    assert await reason(renewals) is None
    assert await reason(renewals, mode=Mode.FORCED) == "asked for"
    clock.advance(timedelta(days=60).total_seconds())
    assert (await reason(renewals) or "").startswith("two thirds of the lifetime passed at ")


async def test_certificate_of_another_ca_is_due(renewals: Renewals, steps: Steps) -> None:
    await renew(renewals, LINEAGE, steps, Mode.RETRY)
    other = replace(LINEAGE, directory_urls=("https://other.example/directory",))
    words = "the installed certificate was issued by a CA that is no longer configured"
    assert await reason(renewals, other) == words
    second = replace(LINEAGE, directory_urls=(*other.directory_urls, *LINEAGE.directory_urls))
    assert await reason(renewals, second) is None


async def test_certificate_of_unknown_origin_is_left_alone(
    renewals: Renewals, ca: FakeAuthority, certificates: FakeCertificates
) -> None:
    key = pki.make_certificate_key(KeyType.ECDSA_P256)
    pair = Pair(key, ca.root.chain(pki.make_csr(key, LINEAGE.identifiers)))
    await certificates.switch("web", await certificates.write("web", pair))
    assert await reason(renewals) is None


async def test_pending_order_with_valid_authorizations_continues(
    renewals: Renewals, steps: Steps, ca: FakeAuthority
) -> None:
    ca.reuse_valid = True
    await renew(renewals, LINEAGE, steps, Mode.RETRY)
    url = f"{BASE}/order/2"

    async def lag() -> None:
        ca.script(f"{url}/finalize", replace(ca.orders[url].order, status=Status.PENDING))
        ca.script(url, ca.orders[url].order)
        ca.set_order(url, Status.PENDING)

    ca.at_new_order = lag
    assert (await renew(renewals, LINEAGE, steps, Mode.RETRY)).lineage == "web"
    assert ca.calls.count(f"read {url}") == 1
    assert ca.calls.count(f"finalize {url}") == 2
