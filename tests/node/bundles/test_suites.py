"""The bytes that wraps and ciphertexts are bound to: those of docs/design/0024-bundles-and-manifest.md."""

from hashlib import sha256

import pytest

from tests.fleet import version
from wellkeeper_node.bundles.model import Version
from wellkeeper_node.bundles.suites import bundle_data, wrap_info

KEY, DIGEST = bytes(range(32)), sha256(b"").hexdigest()


def test_bound_values_are_lines() -> None:
    assert wrap_info(KEY, "web", version(7), DIGEST).decode().split("\n") == [
        "wellkeeper-wrap-1",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "web",
        "7",
        "20260301T110000Z-0123abcd",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ]
    assert bundle_data("web", version(7)) == b"wellkeeper-bundle-1\nweb\n7\n20260301T110000Z-0123abcd"


@pytest.mark.parametrize(
    ("key", "lineage", "number", "digest"),
    [
        (bytes(32), "web", version(7), DIGEST),
        (KEY, "web7", version(7), DIGEST),
        (KEY, "web", version(77), DIGEST),
        (KEY, "web", version(7, "ffffffff"), DIGEST),
        (KEY, "web", version(7), DIGEST[::-1]),
    ],
    ids=["node", "lineage", "number", "archive name", "ciphertext"],
)
def test_each_part_is_bound(key: bytes, lineage: str, number: Version, digest: str) -> None:
    assert wrap_info(key, lineage, number, digest) != wrap_info(KEY, "web", version(7), DIGEST)
