"""Retired and disowned certificates: deleted once unused, and never gone back to."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fleet import CA, TIME, A
from wellkeeper_node.bundles.manifest import Manifest
from wellkeeper_node.bundles.retiring import retire
from wellkeeper_node.certificates import reading
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.model import Old


@dataclass
class Node:
    """Three versions of `web`, the last one live; nginx uses those in `used`."""

    root: Path
    folders: CertificateFolders
    versions: tuple[str, ...]
    leaves: tuple[str, ...]
    used: frozenset[str] = frozenset()

    async def find_unused(self, old: Collection[Old]) -> Collection[Old]:
        return [one for one in old if one.version not in self.used]

    async def retire(self, *, retired: Collection[int] = (), disowned: Collection[int] = ()) -> set[str]:
        """Apply a manifest with these versions, and return those that are left."""
        one, other = (frozenset(self.leaves[position] for position in chosen) for chosen in (retired, disowned))
        manifest = Manifest(1, TIME, {}, {"web": one}, {"web": other})
        await retire("web", manifest, self.root, self.folders, self.find_unused)
        return set(await self.folders.versions("web"))


@pytest.fixture
async def node(folder: Path) -> Node:
    folders = CertificateFolders(folder)
    pairs = [CA.pair(A) for _ in range(3)]
    versions = [await folders.write("web", pair) for pair in pairs]
    await folders.switch("web", versions[-1])
    leaves = (reading.read_certificate(pair.chain_pem).fingerprint_sha256 for pair in pairs)
    return Node(folder, folders, tuple(versions), tuple(leaves))


async def test_only_retired_and_disowned_versions_are_deleted(node: Node) -> None:
    assert await node.retire() == set(node.versions)
    assert await node.retire(retired=[0]) == set(node.versions[1:])
    assert await node.retire(disowned=[1]) == {node.versions[2]}
    assert await node.retire(retired=[0], disowned=[1]) == {node.versions[2]}


async def test_version_in_use_is_deleted_later(node: Node) -> None:
    node.used = frozenset(node.versions[:1])
    assert await node.retire(retired=[0], disowned=[1]) == {node.versions[0], node.versions[2]}
    node.used = frozenset()
    assert await node.retire(retired=[0], disowned=[1]) == {node.versions[2]}


async def test_live_version_is_kept_even_if_it_seems_unused(node: Node) -> None:
    assert await node.retire(disowned=[2]) == set(node.versions)


async def test_node_never_goes_back_to_a_disowned_version(node: Node) -> None:
    node.used = frozenset(node.versions)
    await node.retire(retired=[0], disowned=[1, 2])
    await node.folders.switch("web", None)
    restored = await node.folders.restore("web", lambda _: True)
    assert restored is not None
    assert restored.version == node.versions[0]


async def test_damaged_version_is_left_alone(node: Node) -> None:
    (node.root / "archive/web" / node.versions[0] / "fullchain.pem").write_bytes(b"")
    assert await node.retire(retired=[0]) == set(node.versions)


async def test_lineage_without_versions_has_nothing_to_retire(node: Node) -> None:
    manifest = Manifest(1, TIME, {}, {}, {"mail": frozenset(node.leaves)})
    await retire("mail", manifest, node.root, node.folders, node.find_unused)
    assert not (node.root / "archive/mail").exists()
