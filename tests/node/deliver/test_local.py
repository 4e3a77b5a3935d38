"""Delivery to the nginx of this host, with its reloads and handshakes."""

import asyncio

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import FakeCa, FakeCertificates, dns
from tests.fakes_nginx import FakeNginx, FakeProbes
from tests.fakes_obtain import FakeProgress
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.ports.node import Delivery
from wellkeeper_node.certificates import reading
from wellkeeper_node.deliver.batch import Deliveries
from wellkeeper_node.deliver.install import install
from wellkeeper_node.deliver.local import LocalDelivery
from wellkeeper_node.errors import ReloadError, VerifyError
from wellkeeper_node.model import Certificate, Flip, Listener, Served, Server, Verified

ADDRESS = ("192.0.2.7", 443)
A = dns("a.example")
CHAIN = "/certificates/archive/web/v1/fullchain.pem"


class Here:
    """This host; its nginx names the certificate `web`."""

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
def here(state: State, clock: FakeClock) -> Here:
    return Here(state, clock)


async def test_delivered_version_is_loaded_by_nginx_and_verified_at_its_addresses(here: Here) -> None:
    flip = await here.install()
    assert await here.delivery.deliver(flip) == pytest.approx(0.2)
    assert here.nginx.reloads == [{"web": flip.after}]
    leaf = reading.read_certificate(here.pair.chain_pem)
    here.probes.leaves[ADDRESS, A] = leaf
    served = Served(is_served=True, fingerprint_sha256=leaf.fingerprint_sha256, detail="1 handshake")
    assert await here.delivery.verify("web") == Verified(leaf, served)


async def test_delivery_waits_while_another_is_expected(here: Here) -> None:
    flip = await here.install()
    with here.delivery.expecting():
        delivered = asyncio.create_task(here.delivery.deliver(flip))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not here.nginx.reloads
    await delivered
    assert len(here.nginx.reloads) == 1


async def test_nothing_installed_cannot_be_verified(here: Here) -> None:
    with pytest.raises(
        VerifyError,
        match=r"^cannot verify the certificate of web: /certificates/live/web no longer holds a usable certificate",
    ):
        await here.delivery.verify("web")


async def test_other_leaf_on_the_wire_is_an_error(here: Here) -> None:
    await here.install()
    here.probes.leaves[ADDRESS, A] = reading.read_certificate(FakeCa().pair(A).chain_pem)
    with pytest.raises(VerifyError, match="nginx does not serve the installed certificate of web"):
        await here.delivery.verify("web")


async def test_certificate_is_verified_where_its_block_listens(here: Here) -> None:
    await here.install()
    port = ("127.0.0.1", 8443)
    here.nginx.needed.clear()
    here.nginx.blocks = [Server(("a.example",), (Listener(port, speaks_proxy_protocol=True),), frozenset({CHAIN}))]
    here.probes.leaves = {(port, A): leaf(here), (ADDRESS, A): other()}
    assert (await here.delivery.verify("web")).served.is_served
    assert here.probes.greeted == {port: True}


async def test_configured_addresses_of_the_certificate_win(here: Here) -> None:
    await here.install()
    port = ("127.0.0.1", 8443)
    here.probes.leaves = {(port, A): leaf(here), (ADDRESS, A): other()}
    assert (await here.delivery.verify("web", [port])).served.is_served
    hidden = (await here.delivery.verify("web", [])).served
    assert (hidden.is_served, hidden.is_hidden) == (False, True)


async def test_usual_addresses_are_asked_when_nothing_answers_at_the_listeners(here: Here) -> None:
    """nginx may run behind a port mapping of a container."""
    await here.install()
    here.nginx.blocks = [Server(("a.example",), (Listener(("127.0.0.1", 8443)),), frozenset({CHAIN}))]
    here.probes.leaves = {(ADDRESS, A): leaf(here)}
    assert (await here.delivery.verify("web")).served.is_served


async def test_configuration_that_cannot_be_read_is_an_error_unless_handshakes_show_the_certificate(
    here: Here,
) -> None:
    await here.install()
    here.nginx.servers_error = ReloadError("cannot read nginx's configuration")
    here.probes.leaves = {(ADDRESS, A): other()}
    with pytest.raises(ReloadError, match="cannot read nginx's configuration"):
        await here.delivery.verify("web")
    here.probes.leaves = {(ADDRESS, A): leaf(here)}
    assert (await here.delivery.verify("web")).served.is_served


async def test_configuration_is_read_once_for_many_and_again_after_a_reload(here: Here) -> None:
    flip = await here.install()
    here.probes.leaves = {(ADDRESS, A): leaf(here)}
    for _ in range(2):
        await here.delivery.verify("web")
    assert here.nginx.servers_count == 1
    await here.delivery.deliver(flip)
    await here.delivery.verify("web")
    assert here.nginx.servers_count == 2


def leaf(here: Here) -> Certificate:
    return reading.read_certificate(here.pair.chain_pem)


def other() -> Certificate:
    return reading.read_certificate(FakeCa().pair(A).chain_pem)
