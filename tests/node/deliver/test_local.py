"""Delivery to the nginx of this host, with its reloads and handshakes."""

import asyncio

import pytest

from tests.fakes import FakeClock
from tests.fakes_certificates import FakeCertificates
from tests.fakes_deliver import FakeCa, FakeNginx, FakeProbes, dns
from tests.fakes_obtain import FakeProgress
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.ports.node import Delivery
from wellkeeper_node.certificates import reading
from wellkeeper_node.deliver.batch import Deliveries
from wellkeeper_node.deliver.install import install
from wellkeeper_node.deliver.local import LocalDelivery
from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Flip, Served, Verified

ADDRESS = ("192.0.2.7", 443)
A = dns("a.example")


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
