"""The keys of a node: made once, for their owner only; and its public line."""

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from wellkeeper_client.fleet_bodies import NodeBody
from wellkeeper_node.agent.build import take_enrolled
from wellkeeper_node.agent.keys import PREPARED, NodeKeys, NodePublic, parse_line
from wellkeeper_node.errors import FleetError, InstallError

PUBLIC = NodePublic(bytes(range(32)), X25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw())


@pytest.fixture
def state(folder: Path) -> Path:
    return folder / "node"


@pytest.fixture
def keys(state: Path) -> NodeKeys:
    made = NodeKeys(state)
    made.make()
    return made


def test_keys_are_made_for_their_owner_only_under_any_umask(state: Path) -> None:
    umask = os.umask(0)
    try:
        made = NodeKeys(state).make()
    finally:
        os.umask(umask)
    assert made == (state / "signing_key.pem", state / "sealing_key.pem")
    assert [path.stat().st_mode & 0o7777 for path in (*made, state)] == [0o600, 0o600, 0o700]


def test_existing_keys_are_never_replaced(keys: NodeKeys, state: Path) -> None:
    before = keys.public
    assert keys.make() == ()
    assert keys.public == before
    (state / "sealing_key.pem").unlink()
    assert keys.make() == (state / "sealing_key.pem",)
    assert keys.public.signing_key == before.signing_key
    assert keys.public.sealing_key != before.sealing_key


def test_public_line_is_read_back_and_has_no_secret(keys: NodeKeys) -> None:
    line = keys.public.line
    assert parse_line(line) == keys.public
    assert (line[:5], len(line)) == ("wkn1:", 91)
    assert keys.signing_key.public_key().public_bytes_raw() == keys.public.signing_key
    assert keys.sealing_key.public_key().public_bytes_raw() == keys.public.sealing_key


@settings(max_examples=100, deadline=None, database=None)
@given(signing=st.binary(min_size=32, max_size=32), sealing=st.binary(min_size=32, max_size=32))
def test_line_of_any_keys_is_read_back(signing: bytes, sealing: bytes) -> None:
    public = NodePublic(signing, X25519PrivateKey.from_private_bytes(sealing).public_key().public_bytes_raw())
    assert parse_line(public.line) == public


@pytest.mark.parametrize(
    "line",
    [
        *("", "wkn1:", PUBLIC.line[:-1], f"{PUBLIC.line}A", f"{PUBLIC.line}\n", f" {PUBLIC.line}"),
        *(PUBLIC.line.replace("wkn1", "wkn2"), f"{PUBLIC.line[:-1]}B", f"{PUBLIC.line[:-1]}="),
    ],
    ids=lambda line: repr(line[-3:]),
)
def test_line_that_was_not_copied_whole_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="expected wkn1: and 86 characters of base64url"):
        parse_line(line)


@pytest.mark.parametrize(
    "point", [bytes(32), b"\1" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"], ids=["0", "1", "-1"]
)
def test_sealing_key_that_anyone_could_open_with_is_refused(point: bytes) -> None:
    """With a point of low order, the shared secret is zero for every private key (RFC 7748 section 6.1)."""
    with pytest.raises(ValueError, match="its sealing key is not the public key of any node"):
        parse_line(NodePublic(PUBLIC.signing_key, point).line)


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_key_that_others_may_read_is_refused_with_the_remedy(keys: NodeKeys, state: Path, mode: int) -> None:
    path = state / "signing_key.pem"
    path.chmod(mode)
    with pytest.raises(FleetError, match=rf"other users may read it\. Run 'chmod go= {path}'"):
        _ = keys.signing_key


def test_key_that_others_may_write_is_refused_with_the_remedy(keys: NodeKeys, state: Path) -> None:
    (state / "sealing_key.pem").chmod(0o620)
    with pytest.raises(FleetError, match=r"its group may write to .* Run 'chmod go-w "):
        _ = keys.sealing_key


def test_damaged_missing_and_exchanged_keys_are_reported(keys: NodeKeys, state: Path) -> None:
    signing, sealing = state / "signing_key.pem", state / "sealing_key.pem"
    swapped = signing.read_bytes(), sealing.read_bytes()
    sealing.write_bytes(swapped[0])
    signing.write_bytes(swapped[1])
    with pytest.raises(FleetError, match="it is not an Ed25519 key"):
        _ = keys.signing_key
    with pytest.raises(FleetError, match="it is not an X25519 key"):
        _ = keys.sealing_key
    signing.write_bytes(b"half a k")
    with pytest.raises(
        FleetError, match=r"it is not an unencrypted PEM key: .* Move it away, then run 'wellkeeper-node join'"
    ):
        _ = keys.signing_key
    signing.unlink()
    with pytest.raises(FleetError, match=r"cannot read the key of this node .*No such file or directory"):
        _ = keys.public
    assert stat.S_IMODE(sealing.stat().st_mode) == 0o600


def test_directory_that_cannot_be_made_is_an_error(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(InstallError, match="cannot use"):
        NodeKeys(folder / "file/node").make()


def next_public(keys: NodeKeys) -> NodePublic:
    following = keys.following
    assert following is not None
    return following.public


def test_next_keys_are_made_once_and_replace_the_present_ones(keys: NodeKeys, state: Path) -> None:
    before = keys.public
    assert keys.following is None
    assert keys.prepare() == (state / "signing_key.next.pem", state / PREPARED)
    assert keys.prepare() == ()
    following = next_public(keys)
    assert keys.public == before
    keys.take_next()
    keys.take_next()
    assert (keys.public, keys.following) == (following, None)


def test_change_that_was_killed_between_its_renames_is_finished(keys: NodeKeys, state: Path) -> None:
    keys.finish()
    keys.prepare()
    following = next_public(keys)
    keys.finish()
    (state / "signing_key.next.pem").rename(state / "signing_key.pem")
    assert keys.following is None
    keys.finish()
    assert keys.public == following


def test_preparation_that_was_killed_offers_nothing_and_is_completed(keys: NodeKeys, state: Path) -> None:
    keys.prepare()
    (state / PREPARED).unlink()
    assert keys.following is None
    assert keys.prepare() == (state / PREPARED,)


def test_next_keys_are_taken_only_once_the_issuer_has_enrolled_both(keys: NodeKeys) -> None:
    present = keys.public.texts
    assert not take_enrolled(keys, NodeBody(*present))
    keys.prepare()
    following = next_public(keys).texts
    for others in (present, (following[0], present[1])):
        assert not take_enrolled(keys, NodeBody(*others))
    assert keys.public.texts == present
    assert take_enrolled(keys, NodeBody(*following))
    assert keys.public.texts == following
