"""Distribution: what nodes can open, which version they get, and what happens when something is missing or older."""

import asyncio
import logging
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from tests.fleet import OTHER_FLEET_KEY
from tests.issuer.fleet.issuers import Issuer
from tests.issuer.fleet.relays import PlayedNode
from tests.relay.messages import FLEET_KEY, STRANGER_KEY, enrolment
from wellkeeper_client.fleet_bodies import NodeBody
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind
from wellkeeper_issuer.fleet.manifest import sign_manifest
from wellkeeper_issuer.outside.keys.sealed_bundles import SealedBundles
from wellkeeper_node.bundles.manifest import MANIFEST_KEY, Entry, Manifest
from wellkeeper_node.bundles.model import Version
from wellkeeper_node.certificates.placeholders import make_self_signed
from wellkeeper_node.errors import InstallError

DAY: Final = 24 * 3600


@pytest.fixture
def issuer(folder: Path, clock: FakeClock) -> Issuer:
    return Issuer(folder, clock)


async def test_nodes_get_the_certificates_that_they_may_have(issuer: Issuer) -> None:
    versions = {name: await issuer.install(name) for name in ("web", "mail")}
    await issuer.distribution.refresh(["web", "mail"])
    assert await issuer.relay.keys(Kind.WRAP) == ["wrap/web2/web", "wrap/web3/mail", "wrap/web3/web"]
    assert await issuer.relay.keys(Kind.NODE) == ["node/web2", "node/web3"]
    for node, lineage in ((issuer.web2, "web"), (issuer.web3, "web"), (issuer.web3, "mail")):
        bundle = await issuer.opened(node, lineage)
        assert (bundle.version.number, bundle.version.archive_name) == (1, versions[lineage])
        assert bundle.pair == await issuer.certificates.read_pair(lineage)


async def test_new_version_gets_the_next_number(issuer: Issuer) -> None:
    await issuer.install()
    await issuer.distribution.refresh(["web"])
    second = await issuer.install()
    for _ in range(2):
        await issuer.distribution.offer("web")
    assert await issuer.listed() == (2, second)
    assert (await issuer.opened(issuer.web2)).version.archive_name == second


async def test_certificates_that_are_offered_together_are_listed_together(issuer: Issuer) -> None:
    for name in ("web", "mail"):
        await issuer.install(name)
    await asyncio.gather(issuer.distribution.offer("web"), issuer.distribution.offer("mail"))
    assert set((await issuer.manifest()).lineages) == {"web", "mail"}
    # Two nodes, two bundles, three wraps, one manifest.
    assert issuer.relay.puts == 8


async def test_offer_that_failed_is_repeated_with_the_next_one(issuer: Issuer) -> None:
    for name in ("web", "mail"):
        await issuer.install(name)
    manifest = issuer.folder / "manifest.jws"
    manifest.mkdir()
    with pytest.raises(InstallError):
        await issuer.distribution.offer("web")
    manifest.rmdir()
    await issuer.distribution.offer("mail")
    assert set((await issuer.manifest()).lineages) == {"web", "mail"}


async def test_key_of_a_certificate_is_never_wrapped_for_a_node_that_must_not_have_it(issuer: Issuer) -> None:
    await issuer.install("mail")
    await issuer.distribution.offer("mail")
    assert await issuer.relay.keys(Kind.WRAP) == ["wrap/web3/mail"]
    await issuer.distribution.go_back("mail")
    await issuer.install("mail")
    await issuer.distribution.offer("mail")
    assert await issuer.relay.keys(Kind.WRAP) == ["wrap/web3/mail"]


async def test_node_that_a_thief_of_the_fleet_key_enrols_in_the_relay_gets_no_wrap(issuer: Issuer) -> None:
    await issuer.install()
    await issuer.relay.put("node/thief", enrolment("thief", STRANGER_KEY))
    await issuer.distribution.refresh(["web"])
    assert await issuer.relay.keys(Kind.WRAP) == ["wrap/web2/web", "wrap/web3/web"]


@pytest.mark.parametrize("sealing_key", ["", "no base64url!", "AAAA", "A" * 43], ids=["empty", "junk", "short", "zero"])
async def test_node_whose_key_cannot_be_used_does_not_keep_the_others_waiting(
    issuer: Issuer, sealing_key: str, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.nodes["web2"] = NodeBody(issuer.web2.body.signing_key, sealing_key)
    await issuer.install()
    await issuer.distribution.refresh(["web"])
    assert await issuer.relay.keys(Kind.WRAP) == ["wrap/web3/web"]
    assert "node 'web2' does not get certificate web: its sealing key cannot be used" in caplog.text


async def test_nothing_is_sealed_or_sent_again_without_a_change(issuer: Issuer) -> None:
    await issuer.install()
    await issuer.distribution.refresh(["web"])
    before, puts = await issuer.manifest(), issuer.relay.puts
    await issuer.distribution.refresh(["web"])
    assert issuer.relay.puts == puts
    await issuer.start().refresh(["web"])
    assert await issuer.manifest() == before


async def test_manifest_is_signed_again_after_a_day(issuer: Issuer, clock: FakeClock) -> None:
    await issuer.install()
    for _ in range(2):
        await issuer.distribution.refresh(["web"])
        assert (await issuer.manifest()).issued_at == int(clock.now().timestamp())
        clock.advance(DAY)


async def test_node_that_joins_gets_its_wraps_and_one_that_left_no_more(issuer: Issuer) -> None:
    await issuer.install()
    web3 = issuer.nodes.pop("web3")
    await issuer.distribution.refresh(["web"])
    assert await issuer.relay.keys(Kind.WRAP) == ["wrap/web2/web"]
    issuer.nodes = {"web3": web3}
    await issuer.distribution.refresh(["web"])
    assert (await issuer.relay.keys(Kind.WRAP), await issuer.relay.keys(Kind.NODE)) == (
        ["wrap/web3/web"],
        ["node/web3"],
    )
    assert (await issuer.opened(issuer.web3)).lineage == "web"


async def test_node_that_joined_again_with_other_keys_gets_new_wraps(issuer: Issuer, clock: FakeClock) -> None:
    await issuer.install()
    await issuer.distribution.refresh(["web"])
    again = PlayedNode("web3", issuer.relay, clock)
    issuer.nodes["web3"] = again.body
    await issuer.distribution.refresh(["web"])
    assert (await issuer.opened(again)).lineage == "web"


async def test_certificate_that_left_the_settings_leaves_the_nodes_records(issuer: Issuer) -> None:
    for name in ("web", "mail"):
        await issuer.install(name)
    await issuer.distribution.refresh(["web", "mail"])
    await issuer.distribution.refresh(["mail"])
    assert set((await issuer.manifest()).lineages) == {"mail"}
    assert await issuer.relay.keys(Kind.BUNDLE) == ["bundle/mail"]
    assert SealedBundles(issuer.folder / "state").read("web") is None


async def test_certificate_that_is_missing_here_stays_in_the_manifest(issuer: Issuer) -> None:
    await issuer.install()
    await issuer.distribution.refresh(["web"])
    before = await issuer.listed()
    await issuer.certificates.switch("web", None)
    await issuer.distribution.refresh(["web"])
    await issuer.distribution.offer("web")
    assert await issuer.listed() == before
    assert (await issuer.opened(issuer.web2)).lineage == "web"


async def test_placeholder_is_not_sent(issuer: Issuer, clock: FakeClock) -> None:
    await issuer.install(pair=make_self_signed([dns("web.example")], 10, clock.now()))
    await issuer.distribution.refresh(["web", "missing"])
    assert (await issuer.relay.keys(Kind.BUNDLE), (await issuer.manifest()).lineages) == ([], {})


async def test_certificate_that_nodes_would_refuse_is_logged_and_the_others_are_sent(
    issuer: Issuer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("web", "mail"):
        await issuer.install(name)
    await issuer.distribution.refresh(["mail"])
    clock.advance(100 * DAY)
    issuer.ca.now = clock.now()
    await issuer.install("mail")
    await issuer.distribution.refresh(["web", "mail"])
    assert set((await issuer.manifest()).lineages) == {"mail"}
    assert "nodes do not get certificate web: cannot seal the certificate of web" in caplog.text


async def test_stopped_roll_out_goes_back_to_the_former_version_under_a_higher_number(issuer: Issuer) -> None:
    first = await issuer.install()
    await issuer.distribution.refresh(["web"])
    await issuer.install()
    await issuer.distribution.offer("web")
    assert await issuer.distribution.go_back("web")
    assert await issuer.listed() == (3, first)
    assert (await issuer.opened(issuer.web3)).version.archive_name == first
    for distribution in (issuer.distribution, issuer.start()):
        await distribution.refresh(["web"])
        assert await issuer.listed() == (3, first)
        assert not await distribution.go_back("web")
    third = await issuer.install()
    await issuer.distribution.refresh(["web"])
    assert await issuer.listed() == (4, third)


async def test_first_version_cannot_go_back(issuer: Issuer) -> None:
    assert not await issuer.distribution.go_back("web")
    first = await issuer.install()
    await issuer.distribution.refresh(["web"])
    assert not await issuer.distribution.go_back("web")
    assert await issuer.listed() == (1, first)


async def test_former_version_that_has_expired_is_not_gone_back_to(issuer: Issuer, clock: FakeClock) -> None:
    await issuer.install()
    await issuer.distribution.refresh(["web"])
    clock.advance(100 * DAY)
    issuer.ca.now = clock.now()
    second = await issuer.install()
    await issuer.distribution.offer("web")
    assert not await issuer.distribution.go_back("web")
    assert await issuer.listed() == (2, second)


@pytest.mark.parametrize("fault", ["damaged", "revoked"])
async def test_former_version_that_cannot_be_used_is_skipped(issuer: Issuer, fault: str) -> None:
    versions = []
    issuer.ca.now -= timedelta(hours=3)
    for number in range(3):
        issuer.ca.now += timedelta(hours=1)
        versions.append(await issuer.install())
        await issuer.distribution.offer("web")
        if number == 1 and fault == "revoked":
            await issuer.certificates.mark_revoked("web")
    if fault == "damaged":
        (issuer.folder / "certificates/archive/web" / versions[1] / "fullchain.pem").unlink()
    assert await issuer.distribution.go_back("web")
    assert await issuer.listed() == (4, versions[0])


def _offered(manifest: Manifest, *, is_forged: bool = False) -> Stored:
    return Stored(MANIFEST_KEY, sign_manifest(manifest, OTHER_FLEET_KEY if is_forged else FLEET_KEY))


async def test_issuer_from_a_backup_learns_the_higher_manifest_that_a_node_offers(
    issuer: Issuer, clock: FakeClock
) -> None:
    await issuer.install()
    await issuer.distribution.refresh(["web"])
    entries = dict((await issuer.manifest()).lineages)
    number = (await issuer.manifest()).number + 40
    issuer.distribution.hear(_offered(Manifest(number, int(clock.now().timestamp()), entries, {}, {})))
    assert issuer.distribution.is_outdated
    await issuer.install()
    await issuer.distribution.refresh(["web"])
    assert (await issuer.manifest()).number == number + 1
    assert not issuer.distribution.is_outdated


@pytest.mark.parametrize(
    ("number", "is_forged", "words"),
    [(1, False, ""), (2**40, True, "ignored a manifest in the relay: cannot use the manifest")],
    ids=["older", "forged"],
)
async def test_manifest_that_is_older_or_forged_changes_nothing(
    issuer: Issuer,
    clock: FakeClock,
    number: int,
    is_forged: bool,
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)
    for _ in range(2):
        await issuer.install()
        await issuer.distribution.refresh(["web"])
    before = await issuer.manifest()
    issuer.distribution.hear(_offered(Manifest(number, int(clock.now().timestamp()), {}, {}, {}), is_forged=is_forged))
    await issuer.distribution.refresh(["web"])
    assert await issuer.manifest() == before
    assert words in caplog.text


async def test_own_manifest_in_the_relay_is_not_an_offer(issuer: Issuer) -> None:
    await issuer.install()
    await issuer.distribution.refresh(["web"])
    stored = await issuer.relay.get(MANIFEST_KEY)
    assert stored is not None
    issuer.distribution.hear(stored)
    assert not issuer.distribution.is_outdated


@pytest.mark.parametrize("is_known", [True, False], ids=["same version", "version that was lost"])
async def test_number_that_nodes_know_never_falls(issuer: Issuer, clock: FakeClock, is_known: bool) -> None:
    live = await issuer.install()
    await issuer.distribution.refresh(["web"])
    name = live if is_known else "20200101T000000Z-01234567"
    raised = {"web": Entry(Version(9, name), "ab" * 32, "cd" * 32)}
    issuer.distribution.hear(_offered(Manifest(2**40, int(clock.now().timestamp()), raised, {}, {})))
    await issuer.distribution.refresh(["web"])
    assert await issuer.listed() == (9 if is_known else 10, live)
    assert (await issuer.opened(issuer.web2)).lineage == "web"
