"""Nodes that offer new keys in their reports, which their present key signs."""

import logging
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.issuer.fleet.played import Played
from wellkeeper_client.fleet_bodies import parse_node
from wellkeeper_client.records import Kind
from wellkeeper_node.agent.keys import NodePublic
from wellkeeper_node.bundles import content

KEYS = [key.public_key().public_bytes_raw() for key in (Ed25519PrivateKey.generate(), X25519PrivateKey.generate())]
NEW = NodePublic(*KEYS)


async def test_keys_are_enrolled_and_the_node_still_counts_as_heard(played: Played) -> None:
    fleet = await played.open()
    await fleet.beat()
    await played.web2.say(next_keys=NEW.line)
    fleet.reports.take(played.web2.signed(5))
    await fleet.record_reports()
    node = (await played.records.read_nodes())["web2"]
    assert (node.signing_key, node.sealing_key) == NEW.texts
    assert fleet.reports.is_lately_heard("web2")
    wrap = await played.record("wrap/web2/web")
    await fleet.beat()
    assert parse_node((await played.record("node/web2")).body).signing_key == node.signing_key
    assert await played.record("wrap/web2/web") != wrap
    fleet.reports.take(played.web2.signed(6))
    assert fleet.reports.last["web2"].number == 5


async def test_enrolled_keys_are_recorded_once(played: Played, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fleet = await played.open()
    line = NodePublic(*map(_raw, (played.web2.body.signing_key, played.web2.body.sealing_key))).line
    await played.web2.say(next_keys=line)
    fleet.reports.take(played.web2.signed(5))
    await fleet.record_reports()
    assert "has new keys" not in caplog.text


async def test_keys_that_cannot_be_enrolled_are_logged(played: Played, caplog: pytest.LogCaptureFixture) -> None:
    fleet = await played.open()
    before = await played.records.read_nodes()
    of_web3 = NodePublic(_raw(played.web3.body.signing_key), KEYS[1]).line
    for number, line in enumerate(("wkn1:x", of_web3), 5):
        played.web2.report = replace(played.web2.report, next_keys=line)
        fleet.reports.take(played.web2.signed(number))
        await fleet.record_reports()
    assert await played.records.read_nodes() == before
    assert "node 'web2' keeps its keys: expected wkn1:" in caplog.text
    assert "node 'web2' keeps its keys: it offers a key of node 'web3'" in caplog.text


async def test_node_that_was_removed_is_not_enrolled_again_by_its_offer(played: Played) -> None:
    fleet = await played.open()
    await fleet.beat()
    await played.records.forget_node("web2")
    await played.web2.say(next_keys=NEW.line)
    fleet.reports.take(played.web2.signed(5))
    await fleet.record_reports()
    assert set(await played.records.read_nodes()) == {"web3"}
    await fleet.beat()
    assert await played.relay.keys(Kind.NODE) == ["node/web3"]


async def test_node_that_was_restricted_meanwhile_stays_so_with_its_new_keys(played: Played) -> None:
    fleet = await played.open()
    restricted = replace(fleet.nodes["web2"], lineages=("mail",), answers=False)
    await played.records.record_node(restricted)
    await played.web2.say(next_keys=NEW.line)
    fleet.reports.take(played.web2.signed(5))
    await fleet.record_reports()
    signing, sealing = NEW.texts
    found = (await played.records.read_nodes())["web2"]
    assert found == replace(restricted, signing_key=signing, sealing_key=sealing)


async def test_keys_that_two_nodes_offer_at_once_are_enrolled_for_one(
    played: Played, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = await played.open()
    for node in (played.web2, played.web3):
        await node.say(next_keys=NEW.line)
        fleet.reports.take(node.signed(5))
    await fleet.record_reports()
    found = [one.signing_key for one in (await played.records.read_nodes()).values()]
    assert found.count(NEW.texts[0]) == 1
    assert "node 'web3' keeps its keys: it offers a key of node 'web2'" in caplog.text


def _raw(text: str) -> bytes:
    return content.from_base64url(text)
