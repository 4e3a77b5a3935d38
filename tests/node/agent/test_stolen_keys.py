"""Attacks on a node with a stolen publishing key or fleet key, and a relay that helps."""

from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.fakes_deliver import FakeCa
from tests.fleet import TIME, A
from tests.node.agent.made import MadeNode, holds, is_served, virtually
from tests.relay.messages import FLEET_KEY, signed
from tests.responder.messages import KEY, OTHER_TOKEN, THUMBPRINT
from wellkeeper_client.fleet_bodies import PublicationBody
from wellkeeper_client.records import Record
from wellkeeper_client.signing import Publication, sign_publication
from wellkeeper_node.bundles.manifest import MANIFEST_KEY
from wellkeeper_node.certificates import reading

THIEFS_JTI: Final = "p-0000000000000009"


@pytest.fixture
def node(folder: Path) -> MadeNode:
    return MadeNode(folder)


def publication_by(key: Ed25519PrivateKey) -> PublicationBody:
    whole = Publication(OTHER_TOKEN, THUMBPRINT, A.value, THIEFS_JTI, TIME, TIME + 600)
    return PublicationBody(sign_publication(whole, key))


def test_publishing_key_signs_no_record_that_a_node_takes(node: MadeNode) -> None:
    async def work() -> None:
        async with node.running():
            await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one))
            live, body = dict(node.certificates.live), publication_by(KEY).to_json()
            await node.issuer.write(f"publication/{THIEFS_JTI}", signed(f"publication/{THIEFS_JTI}", by=KEY, **body))
            for key in ("node/web2", MANIFEST_KEY):
                await node.issuer.write(key, signed(key, TIME + 9, by=KEY, lineages={}, retire={}, disown={}))
            await node.issuer.publish()
            report = await node.reported(holds)
            assert THIEFS_JTI not in report.publications
            assert is_served(1, report)
            assert node.certificates.live == live

    virtually(work)


def test_fleet_key_publishes_no_token(node: MadeNode) -> None:
    async def work() -> None:
        async with node.running():
            record = Record(f"publication/{THIEFS_JTI}", 1, TIME, TIME + 600, publication_by(FLEET_KEY).to_json())
            await node.issuer.put(record)
            report = await node.reported(lambda one: THIEFS_JTI in one.publications)
            assert not report.publications[THIEFS_JTI].is_held
            assert "HTTP 401" in (report.publications[THIEFS_JTI].error or "")
            await node.issuer.publish()
            report = await node.reported(holds)
            assert not report.publications[THIEFS_JTI].is_held

    virtually(work)


def test_fleet_key_makes_a_node_install_the_certificate_of_a_thief(node: MadeNode) -> None:
    async def work() -> None:
        async with node.running():
            await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one))
            made = await node.issuer.deliver(2, FakeCa().pair(A))
            report = await node.reported(lambda one: is_served(2, one))
            leaf = reading.read_certificate(made.chain_pem).fingerprint_sha256
            assert report.certificates["web"].leaf_sha256 == leaf

    virtually(work)
