"""One certificate's renewal, resumed where an earlier pass ended."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fakes import FakeClock
from tests.fakes_certificates import FakeCertificates
from tests.fakes_deliver import dns
from tests.fakes_obtain import BASE, FakeAuthority, FakeProgress, QuickResponders
from tests.issuer.hosts import Host, look, renew
from tests.node.nodes import Nodes
from tests.responder.messages import KEY, THUMBPRINT, TOKEN
from wellkeeper_issuer import pki
from wellkeeper_issuer.errors import DatesError, OrderError
from wellkeeper_issuer.model import Attempt, Lineage
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.renew import Renewals
from wellkeeper_issuer.reports import Mode
from wellkeeper_node.errors import InstallError
from wellkeeper_node.model import Answer, Flip, KeyType, Pair
from wellkeeper_node.responders.client import ResponderClient
from wellkeeper_node.responders.publications import AllResponders
from wellkeeper_node.steps import Steps

A, B = dns("a.example"), dns("b.example")
LINEAGE = Lineage("web", (A, B), directory_urls=(f"{BASE}/directory",))
ORDER = f"{BASE}/order/1"


@pytest.fixture
def renewals(host: Host) -> Renewals:
    return host.passes.renewals


@pytest.fixture
def ca(host: Host) -> FakeAuthority:
    return host.ca


@pytest.fixture
def certificates(host: Host) -> FakeCertificates:
    return host.certificates


@pytest.fixture
def steps(clock: FakeClock) -> Steps:
    return Steps("web", clock, FakeProgress())


async def obtained(ca: FakeAuthority, state: State, lineage: Lineage = LINEAGE) -> Attempt:
    """Record an attempt as a pass leaves it that ended right after the chain was recorded."""
    key = pki.make_certificate_key(KeyType.ECDSA_P256)
    csr = pki.make_csr(key, lineage.identifiers)
    chain = ca.root.chain(csr)
    attempt = Attempt("web", ca.directory_url, lineage.identifiers, key, csr, ORDER, chain)
    await state.attempts.record_attempt(attempt)
    return attempt


async def reason(renewals: Renewals) -> str | None:
    found = await look(renewals, LINEAGE, Mode.SCHEDULED)
    return found.due.reason if found.due else None


async def test_recorded_chain_is_installed_without_asking_the_ca(
    renewals: Renewals, steps: Steps, ca: FakeAuthority, state: State, certificates: FakeCertificates
) -> None:
    attempt = await obtained(ca, state)
    assert await reason(renewals) == "the CA issued a certificate that is not installed yet"
    flip = await renew(renewals, LINEAGE, steps, Mode.RETRY)
    assert ca.calls == []
    assert certificates.pairs["web"][flip.after] == Pair(attempt.certificate_key_pem, attempt.chain_pem or b"")


async def test_pass_that_died_between_the_switch_and_its_record_is_delivered(
    renewals: Renewals, steps: Steps, ca: FakeAuthority, state: State, certificates: FakeCertificates
) -> None:
    attempt = await obtained(ca, state)
    version = await certificates.write("web", Pair(attempt.certificate_key_pem, attempt.chain_pem or b""))
    await certificates.switch("web", version)
    assert await reason(renewals) == "the CA issued a certificate that is not installed yet"
    assert await renew(renewals, LINEAGE, steps, Mode.RETRY) == Flip("web", version, version)
    assert ca.calls == []
    assert await state.deliveries.undelivered() == {"web": Flip("web", version, version)}
    assert await reason(renewals) is None


async def test_tokens_of_a_killed_pass_stay_until_its_order_was_continued(
    renewals: Renewals, steps: Steps, ca: FakeAuthority, state: State, clock: FakeClock, nodes: Nodes
) -> None:
    client = ResponderClient("n1", str(nodes["n1"].control), KEY, clock)
    async with (
        AllResponders([client], KEY, clock, state.publications) as killed,
        AllResponders([client], KEY, clock, state.publications) as responders,
        killed.publish([Answer(TOKEN, THUMBPRINT, A)], "web"),
    ):
        renewals = replace(renewals, responders=QuickResponders(responders, clock))
        ca.new_order_error = OrderError("the CA is down")
        with pytest.raises(OrderError):
            await renew(renewals, LINEAGE, steps, Mode.RETRY)
        assert await nodes.holding(TOKEN) == ["n1"]
        ca.new_order_error = None
        await renew(renewals, LINEAGE, steps, Mode.RETRY)
        assert await nodes.holding(TOKEN) == []


async def test_full_disk_does_not_cost_a_second_certificate(
    renewals: Renewals, steps: Steps, ca: FakeAuthority, certificates: FakeCertificates
) -> None:
    certificates.full_disk_for.add("web")
    with pytest.raises(InstallError, match="No space left"):
        await renew(renewals, LINEAGE, steps, Mode.RETRY)
    certificates.full_disk_for.clear()
    await renew(renewals, LINEAGE, steps, Mode.RETRY)
    assert ca.calls.count("newOrder") == 1


async def test_recorded_chain_waits_for_a_clock_that_is_slow(
    renewals: Renewals, steps: Steps, ca: FakeAuthority, state: State, clock: FakeClock
) -> None:
    await obtained(ca, state)
    clock.step(-3 * 24 * 3600)
    with pytest.raises(DatesError, match="Synchronize this machine's clock by NTP"):
        await renew(renewals, LINEAGE, steps, Mode.RETRY)
    clock.step(3 * 24 * 3600)
    await renew(renewals, LINEAGE, steps, Mode.RETRY)
    assert "newOrder" not in ca.calls


async def test_recorded_chain_that_expired_is_forgotten(
    renewals: Renewals, steps: Steps, ca: FakeAuthority, state: State, clock: FakeClock, nodes: Nodes
) -> None:
    await obtained(ca, state)
    for one in (clock, nodes):
        one.advance(timedelta(days=100).total_seconds())
    assert await reason(renewals) == "no certificate yet"
    assert await state.attempts.read_attempt("web") is None
    await renew(renewals, LINEAGE, steps, Mode.RETRY)
    assert ca.calls[0] == "newOrder"


@pytest.mark.parametrize(
    "changes", [{"directory_url": "https://other.example/"}, {"chain_pem": None}], ids=["CA", "nothing yet"]
)
async def test_recorded_chain_for_something_else_is_not_installed(
    renewals: Renewals, steps: Steps, ca: FakeAuthority, state: State, changes: dict[str, str]
) -> None:
    attempt = await obtained(ca, state)
    await state.attempts.record_attempt(replace(attempt, **changes))  # type: ignore[arg-type]
    assert await reason(renewals) == "no certificate yet"
    await renew(renewals, LINEAGE, steps, Mode.RETRY)
    assert "newOrder" in ca.calls


async def test_recorded_chain_for_other_identifiers_is_not_installed(
    renewals: Renewals, steps: Steps, ca: FakeAuthority, state: State, certificates: FakeCertificates
) -> None:
    await obtained(ca, state, replace(LINEAGE, identifiers=(A,)))
    assert await reason(renewals) == "no certificate yet"
    await renew(renewals, LINEAGE, steps, Mode.RETRY)
    installed = await certificates.installed("web")
    assert installed is not None
    assert installed.certificate.identifiers == {A, B}


async def test_recorded_chain_for_another_key_is_forgotten(
    renewals: Renewals, steps: Steps, ca: FakeAuthority, state: State
) -> None:
    attempt = await obtained(ca, state)
    foreign = ca.root.chain(pki.make_csr(pki.make_certificate_key(KeyType.ECDSA_P256), LINEAGE.identifiers))
    await state.attempts.record_attempt(replace(attempt, chain_pem=foreign))
    assert await reason(renewals) == "no certificate yet"
    assert await state.attempts.read_attempt("web") is None
    await renew(renewals, LINEAGE, steps, Mode.RETRY)
    assert "newOrder" in ca.calls
