"""Delivery to the nginx of this host, with its reloads and handshakes."""

import asyncio

import pytest

from tests.fakes import FakeClock
from tests.fakes_certificates import FakeCertificates
from tests.fakes_deliver import FakeCa, dns
from tests.fakes_nginx import FakeNginx, FakeProbes
from tests.fakes_obtain import FakeProgress
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.ports.node import Delivery
from wellkeeper_node.certificates import reading
from wellkeeper_node.deliver.addresses import Question
from wellkeeper_node.deliver.batch import Deliveries
from wellkeeper_node.deliver.install import install
from wellkeeper_node.deliver.local import LocalDelivery
from wellkeeper_node.deliver.verification import Verification
from wellkeeper_node.errors import ReloadError, VerifyError
from wellkeeper_node.model import Certificate, Flip, Listener, Served, Server, Verified

ADDRESS = ("192.0.2.7", 443)
A = dns("a.example")
CHAIN = "/certificates/archive/web/v1/fullchain.pem"


class LocalHost:
    """This host, whose nginx names the certificate `web`."""

    def __init__(self, state: State, clock: FakeClock) -> None:
        self.certificates, self.probes = FakeCertificates(), FakeProbes()
        self.nginx = FakeNginx(self.certificates, clock)
        self.nginx.needed.add("web")
        self.pair = FakeCa(clock.now()).pair(A)
        batch = Deliveries(self.nginx, self.certificates, state.deliveries, clock, FakeProgress())
        self.delivery: Delivery = LocalDelivery(self.nginx, self.probes, self.certificates, (ADDRESS,), batch)

    async def install(self) -> Flip:
        return await install("web", self.pair, self.certificates)


@pytest.fixture
def host(state: State, clock: FakeClock) -> LocalHost:
    return LocalHost(state, clock)


async def test_delivered_version_is_loaded_by_nginx_and_verified_at_its_addresses(host: LocalHost) -> None:
    flip = await host.install()
    assert await host.delivery.deliver(flip) == pytest.approx(0.2)
    assert host.nginx.reloads == [{"web": flip.after}]
    leaf = reading.read_certificate(host.pair.chain_pem)
    host.probes.leaves[ADDRESS, A] = leaf
    served = Served(is_served=True, fingerprint_sha256=leaf.fingerprint_sha256, detail="1 handshake")
    assert await host.delivery.verify("web") == Verified(leaf, served)


async def test_plan_has_the_handshakes_of_a_verification(host: LocalHost, clock: FakeClock) -> None:
    await host.install()
    installed = await host.certificates.installed("web")
    assert installed is not None
    verification = Verification(host.nginx, host.probes, host.certificates, (ADDRESS,), clock)
    assert (await verification.plan(installed)).questions == (Question(ADDRESS, A),)
    assert (await verification.plan(installed, [("192.0.2.8", 8443)])).questions == (Question(("192.0.2.8", 8443), A),)
    host.nginx.servers_error = ReloadError("cannot read nginx's configuration")
    verification.forget()
    with pytest.raises(ReloadError):
        await verification.plan(installed)


async def test_delivery_waits_while_another_is_expected(host: LocalHost) -> None:
    flip = await host.install()
    with host.delivery.expecting():
        delivered = asyncio.create_task(host.delivery.deliver(flip))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not host.nginx.reloads
    await delivered
    assert len(host.nginx.reloads) == 1


async def test_verifying_without_an_installed_certificate_is_an_error(host: LocalHost) -> None:
    with pytest.raises(
        VerifyError,
        match=r"^cannot verify the certificate of web: /certificates/live/web no longer holds a usable certificate",
    ):
        await host.delivery.verify("web")


async def test_other_leaf_on_the_wire_is_an_error(host: LocalHost) -> None:
    await host.install()
    host.probes.leaves[ADDRESS, A] = reading.read_certificate(FakeCa().pair(A).chain_pem)
    with pytest.raises(VerifyError, match="nginx does not serve the installed certificate of web"):
        await host.delivery.verify("web")


async def test_certificate_is_verified_where_its_block_listens(host: LocalHost) -> None:
    await host.install()
    port = ("127.0.0.1", 8443)
    host.nginx.needed.clear()
    host.nginx.blocks = [Server(("a.example",), (Listener(port, speaks_proxy_protocol=True),), frozenset({CHAIN}))]
    host.probes.leaves = {(port, A): leaf(host), (ADDRESS, A): other()}
    assert (await host.delivery.verify("web")).served.is_served
    assert host.probes.greeted == {port: True}


async def test_configured_addresses_of_the_certificate_win(host: LocalHost) -> None:
    await host.install()
    port = ("127.0.0.1", 8443)
    host.probes.leaves = {(port, A): leaf(host), (ADDRESS, A): other()}
    assert (await host.delivery.verify("web", [port])).served.is_served
    hidden = (await host.delivery.verify("web", [])).served
    assert (hidden.is_served, hidden.is_hidden) == (False, True)


async def test_wildcard_is_verified_at_configured_addresses_with_the_names_of_its_server_blocks(
    host: LocalHost, clock: FakeClock
) -> None:
    host.pair = FakeCa(clock.now()).pair(dns("*.a.example"))
    await host.install()
    host.nginx.blocks = [
        Server(("www.a.example",), (Listener(ADDRESS),), frozenset({CHAIN})),
        Server(("own.a.example",), (Listener(ADDRESS),), frozenset({"/etc/own.pem"})),
    ]
    host.probes.leaves = {(ADDRESS, dns("www.a.example")): leaf(host), (ADDRESS, dns("own.a.example")): other()}
    assert (await host.delivery.verify("web", [ADDRESS])).served.detail == "1 handshake"
    host.nginx.servers_error = ReloadError("nginx -T failed")
    installed = await host.certificates.installed("web")
    assert installed is not None
    wanted = await Verification(host.nginx, host.probes, host.certificates, (), clock).plan(installed, [ADDRESS])
    assert wanted.questions == (Question(ADDRESS, dns("wellkeeper-check.a.example")),)


async def test_usual_addresses_are_asked_when_nothing_answers_at_the_listeners(host: LocalHost) -> None:
    """nginx may run behind a port mapping of a container."""
    await host.install()
    host.nginx.blocks = [Server(("a.example",), (Listener(("127.0.0.1", 8443)),), frozenset({CHAIN}))]
    host.probes.leaves = {(ADDRESS, A): leaf(host)}
    assert (await host.delivery.verify("web")).served.is_served


async def test_configuration_that_cannot_be_read_is_an_error_unless_handshakes_show_the_certificate(
    host: LocalHost,
) -> None:
    await host.install()
    host.nginx.servers_error = ReloadError("cannot read nginx's configuration")
    host.probes.leaves = {(ADDRESS, A): other()}
    with pytest.raises(ReloadError, match="cannot read nginx's configuration"):
        await host.delivery.verify("web")
    host.probes.leaves = {(ADDRESS, A): leaf(host)}
    assert (await host.delivery.verify("web")).served.is_served


async def test_configuration_is_read_once_for_many_and_again_after_a_reload(host: LocalHost) -> None:
    flip = await host.install()
    host.probes.leaves = {(ADDRESS, A): leaf(host)}
    for _ in range(2):
        await host.delivery.verify("web")
    assert host.nginx.servers_count == 1
    await host.delivery.deliver(flip)
    await host.delivery.verify("web")
    assert host.nginx.servers_count == 2


def leaf(host: LocalHost) -> Certificate:
    return reading.read_certificate(host.pair.chain_pem)


def other() -> Certificate:
    return reading.read_certificate(FakeCa().pair(A).chain_pem)
