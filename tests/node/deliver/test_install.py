"""The stage install."""

import pytest

from tests.fakes_certificates import FakeCertificates
from tests.fakes_deliver import FakeCa, dns
from wellkeeper_node.deliver.install import install
from wellkeeper_node.errors import InstallError
from wellkeeper_node.model import Flip


async def test_pair_is_written_and_live_points_to_it() -> None:
    certificates, ca = FakeCertificates(), FakeCa()
    first = await install("web", ca.pair(dns("a.example")), certificates)
    second = await install("web", ca.pair(dns("a.example")), certificates)
    assert first.before is None
    assert (second.before, second.after) == (first.after, certificates.live["web"])


async def test_installing_the_live_pair_again_changes_nothing() -> None:
    certificates, pair = FakeCertificates(), FakeCa().pair(dns("a.example"))
    first = await install("web", pair, certificates)
    again = await install("web", pair, certificates)
    assert again.before == again.after == first.after
    assert len(certificates.switches) == 1


async def test_failed_write_keeps_the_old_version_live() -> None:
    certificates = FakeCertificates({"web": "old"})
    certificates.full_disk_for.add("web")
    with pytest.raises(InstallError, match="No space left"):
        await install("web", FakeCa().pair(dns("a.example")), certificates)
    assert certificates.live == {"web": "old"}


async def test_version_whose_key_was_disowned_is_never_rolled_back_to() -> None:
    certificates, ca = FakeCertificates(), FakeCa()
    pair = ca.pair(dns("a.example"))
    first = await install("web", pair, certificates)
    await certificates.disown_key("web")
    assert await install("web", pair, certificates) == Flip("web", first.after, first.after)
    second = await install("web", ca.pair(dns("a.example")), certificates)
    assert second.before is None
    third = await install("web", ca.pair(dns("a.example")), certificates)
    assert third.before == second.after
