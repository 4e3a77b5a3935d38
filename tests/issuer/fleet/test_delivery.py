"""Certificates on their way to nodes: after nginx here, or without it if it cannot be reloaded anyway."""

from contextlib import nullcontext

import pytest

from tests.fakes import FakeClock
from tests.fakes_certificates import FakeCertificates
from tests.fakes_deliver import dns
from tests.fakes_nginx import FakeNginx
from tests.issuer.fleet.played import Played
from wellkeeper_issuer.fleet.delivery import FleetDelivery
from wellkeeper_issuer.fleet.fleet import Fleet
from wellkeeper_node.errors import EndedError, ReloadError
from wellkeeper_node.model import Flip, Served, Verified


class LocalNginx:
    """`ports.node.Delivery` that loads everything, unless `error` is set; `calls` lists what was asked."""

    def __init__(self, played: Played, error: ReloadError | None = None) -> None:
        self._issuer = played
        self.error = error
        self.calls: list[str] = []

    def expecting(self) -> nullcontext[None]:
        self.calls.append("expecting")
        return nullcontext()

    async def deliver(self, flip: Flip) -> float:
        self.calls.append(f"deliver {flip.lineage}")
        if self.error is not None:
            raise self.error
        return 0.5

    async def prune(self, lineages: object) -> None:
        self.calls.append(f"prune {lineages}")

    async def verify(self, lineage: str, https_addresses: object = None) -> Verified:
        self.calls.append(f"verify {lineage} {https_addresses}")
        installed = await self._issuer.certificates.installed(lineage)
        assert installed is not None
        return Verified(installed.certificate, Served(is_served=True, fingerprint_sha256=None, detail=""))


def nginx(unreachable: str | None = None) -> FakeNginx:
    one = FakeNginx(FakeCertificates())
    one.unreachable = unreachable
    return one


async def deliver(fleet: Fleet, local: LocalNginx, version: str, *, unreachable: str | None = None) -> None:
    """Deliver the version here, which fails."""
    delivery = FleetDelivery(local, fleet.distribution, nginx(unreachable))
    with pytest.raises(ReloadError):
        await delivery.deliver(Flip("web", None, version))


async def test_nodes_get_a_certificate_after_nginx_here_has_loaded_it(played: Played) -> None:
    fleet, local = await played.open(), LocalNginx(played)
    delivery = FleetDelivery(local, fleet.distribution, nginx())
    await fleet.beat()
    second = await played.install()
    with delivery.expecting():
        assert await delivery.deliver(Flip("web", None, second)) == 0.5
    assert await played.listed() == (2, second)
    assert (await delivery.verify("web")).served.is_served
    await delivery.prune({"web": None})
    assert local.calls == ["expecting", "deliver web", "verify web None", "prune {'web': None}"]


async def test_certificate_is_delivered_here_even_if_nodes_cannot_get_it(
    played: Played, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = await played.open()
    await fleet.beat()
    second = await played.install(pair=played.ca.pair(dns("web.example")))
    (played.folder / "manifest.jws").unlink()
    (played.folder / "manifest.jws").mkdir()
    assert (
        await FleetDelivery(LocalNginx(played), fleet.distribution, nginx()).deliver(Flip("web", None, second)) == 0.5
    )
    assert "nodes do not get certificate web for now" in caplog.text


async def test_nodes_do_not_wait_for_an_nginx_that_could_not_be_reloaded_anyway(played: Played) -> None:
    fleet = await played.open()
    await fleet.beat()
    second = await played.install()
    local = LocalNginx(played, ReloadError("nginx is not running"))
    await deliver(fleet, local, second, unreachable="nginx is not running")
    assert await played.listed() == (2, second)


async def test_nodes_do_not_get_at_once_what_nginx_here_has_not_accepted(played: Played) -> None:
    fleet = await played.open()
    await fleet.beat()
    before = await played.listed()
    local = LocalNginx(played, ReloadError("nginx rejects its configuration"))
    await deliver(fleet, local, await played.install())
    assert await played.listed() == before


async def test_nodes_do_not_get_for_a_day_what_ended_nginx_here(
    played: Played, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = await played.open()
    await fleet.beat()
    before, second = await played.listed(), await played.install()
    await deliver(fleet, LocalNginx(played, EndedError("nginx has no workers left")), second)
    assert "nodes do not get the new version of web for a day" in caplog.text
    await fleet.settle()
    assert await played.listed() == before
    # A later pass finds nginx ended, and knows why.
    await deliver(fleet, LocalNginx(played, ReloadError("not running")), second, unreachable="not running")
    clock.advance(86_300)
    await fleet.refresh()
    assert await played.listed() == before
    clock.advance(100)
    await fleet.refresh()
    assert await played.listed() == (2, second)


async def test_nodes_wait_a_day_at_most_for_an_nginx_that_each_try_ends(played: Played, clock: FakeClock) -> None:
    fleet, local = await played.open(), LocalNginx(played, EndedError("nginx has no workers left"))
    await fleet.beat()
    second = await played.install()
    for _ in range(3):
        await deliver(fleet, local, second)
        clock.advance(40_000)
    await fleet.refresh()
    assert await played.listed() == (2, second)


async def test_nodes_get_what_ended_nginx_here_once_it_has_loaded_it(played: Played) -> None:
    fleet, local = await played.open(), LocalNginx(played, EndedError("nginx has no workers left"))
    await fleet.beat()
    second = await played.install()
    await deliver(fleet, local, second)
    local.error = None
    await FleetDelivery(local, fleet.distribution, nginx()).deliver(Flip("web", None, second))
    assert await played.listed() == (2, second)


async def test_next_version_is_not_kept_from_nodes_because_of_the_one_before(played: Played) -> None:
    fleet = await played.open()
    await fleet.beat()
    await deliver(fleet, LocalNginx(played, EndedError("nginx has no workers left")), await played.install())
    third = await played.install()
    await deliver(fleet, LocalNginx(played, ReloadError("not running")), third, unreachable="not running")
    assert (await played.listed())[1] == third


async def test_first_certificate_that_ended_nginx_here_does_not_reach_nodes_either(played: Played) -> None:
    fleet = await played.open()
    local = LocalNginx(played, EndedError("nginx has no workers left"))
    await deliver(fleet, local, await played.install())
    await fleet.refresh()
    assert not fleet.distribution.listed
