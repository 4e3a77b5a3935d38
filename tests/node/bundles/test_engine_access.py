"""The access to an engine: only the node that it is sealed for can open it."""

from typing import Final

import pytest

from tests.fleet import WEB1, WEB2, public
from wellkeeper_node.bundles.engine_access import EngineAccess, open_access, seal_access
from wellkeeper_node.errors import FleetError

ACCESS: Final = EngineAccess("rediss://10.0.0.9:6379", "wellkeeper-node", "secret", "-----BEGIN")


def test_node_opens_what_was_sealed_for_it() -> None:
    sealed = seal_access(ACCESS, "web2", public(WEB2))
    assert open_access(sealed, "web2", WEB2) == ACCESS
    assert "secret" not in sealed
    assert "secret" not in repr(ACCESS)


def test_other_nodes_cannot_open_it() -> None:
    sealed = seal_access(ACCESS, "web2", public(WEB2))
    for node, key in (("web1", WEB1), ("web2", WEB1), ("web1", WEB2)):
        with pytest.raises(FleetError, match="does not open with the key of this node"):
            open_access(sealed, node, key)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "uses ''"),
        ("X-of-2030.abc", "which this version of Wellkeeper does not know"),
        ("X25519-HKDF-SHA256-AES-256-GCM.a=", "not base64url"),
        ("X25519-HKDF-SHA256-AES-256-GCM.YWJj", "cannot use the engine"),
    ],
)
def test_other_texts_are_refused(text: str, why: str) -> None:
    with pytest.raises(FleetError, match=why):
        open_access(text, "web2", WEB2)


def test_content_of_another_shape_is_refused() -> None:
    sealed = seal_access(EngineAccess(None, "", ""), "web2", public(WEB2))  # type: ignore[arg-type]
    with pytest.raises(FleetError, match="'address' must be a string"):
        open_access(sealed, "web2", WEB2)
