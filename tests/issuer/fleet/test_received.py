"""The manifest has only what nodes get, and says in time that it nears its limit."""

import asyncio

import pytest

from tests.fakes import FakeClock
from tests.fleet import entry
from tests.issuer.fleet.issuers import Issuer
from tests.issuer.fleet.test_distribution import issuer
from tests.relay.messages import FLEET_KEY
from wellkeeper_client.records import Kind
from wellkeeper_issuer.fleet.manifest import sign_manifest
from wellkeeper_node.bundles.manifest import Manifest

__all__ = ["issuer"]


async def test_certificate_that_no_node_gets_is_neither_sealed_nor_listed(issuer: Issuer) -> None:
    web3 = issuer.nodes.pop("web3")
    for name in ("web", "mail"):
        await issuer.install(name)
    await issuer.distribution.offer("mail")
    await issuer.distribution.refresh(["web", "mail"])
    assert set((await issuer.manifest()).lineages) == {"web"}
    assert await issuer.relay.keys(Kind.BUNDLE) == ["bundle/web"]
    issuer.nodes["web3"] = web3
    await issuer.distribution.refresh(["web", "mail"])
    first = await issuer.listed("mail")
    issuer.nodes.pop("web3")
    await issuer.distribution.refresh(["web", "mail"])
    assert set((await issuer.manifest()).lineages) == {"web"}
    issuer.nodes["web3"] = web3
    await issuer.install("mail")
    await issuer.distribution.refresh(["web", "mail"])
    assert (await issuer.listed("mail"))[0] == first[0] + 1


async def test_manifest_that_nears_its_limit_is_logged_once(
    issuer: Issuer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    others = {f"host-{number}.example.org": entry() for number in range(2_700)}
    known = Manifest(1, int(clock.now().timestamp()), others, {}, {})
    await asyncio.to_thread(issuer.distribution.disk.manifests.take, sign_manifest(known, FLEET_KEY))
    for _ in range(2):
        await issuer.install()
        await issuer.distribution.offer("web")
    assert "the manifest has 2701 certificates for nodes and is 85 % full" in caplog.text
    assert caplog.text.count(" % full") == 1
    await issuer.distribution.refresh(["web"])
    assert caplog.text.count(" % full") == 1
