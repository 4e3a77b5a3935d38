"""The fleet key: made once with its successor, readable by its owner only."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys


@pytest.fixture
def state_dir(folder: Path) -> Path:
    return folder / "deep/issuer"


@pytest.fixture
def keys(state_dir: Path) -> FleetKeys:
    return FleetKeys(state_dir)


def raw(keys: FleetKeys) -> list[bytes]:
    return [key.public_bytes_raw() for key in keys.trusted]


def test_keys_are_made_once_for_their_owner_only(keys: FleetKeys, state_dir: Path) -> None:
    assert keys.trusted == ()
    made = keys.make()
    assert made == (state_dir / "fleet_key.pem", state_dir / "fleet_key.next.pem")
    assert [path.stat().st_mode & 0o7777 for path in (*made, state_dir)] == [0o600, 0o600, 0o700]
    before = raw(keys)
    assert before[0] == keys.current.public_key().public_bytes_raw()
    assert before[0] != before[1]
    assert keys.make() == ()
    assert raw(keys) == before


def test_switch_continues_with_the_next_key_and_another_one_is_made(keys: FleetKeys, state_dir: Path) -> None:
    keys.make()
    before = raw(keys)
    keys.switch()
    assert raw(keys) == before[1:]
    assert keys.former is not None
    assert keys.former.public_bytes_raw() == before[0]
    assert keys.make() == (state_dir / "fleet_key.next.pem",)
    after = raw(keys)
    assert after[0] == before[1]
    assert after[1] not in before
    assert keys.retire()
    assert keys.former is None


def test_lost_key_is_not_replaced_because_nodes_would_not_trust_another(keys: FleetKeys, state_dir: Path) -> None:
    with pytest.raises(SettingsError, match=r"the file does not exist\. Restore the key from a backup\."):
        _ = keys.current
    keys.make()
    (state_dir / "fleet_key.pem").unlink()
    with pytest.raises(SettingsError, match=r"the fleet key was lost: .* Restore the key from a backup\."):
        keys.make()
    with pytest.raises(SettingsError, match="cannot read key"):
        _ = keys.trusted


def test_key_of_another_kind_is_refused(keys: FleetKeys, state_dir: Path) -> None:
    keys.make()
    other = ec.generate_private_key(ec.SECP256R1())
    content = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (state_dir / "fleet_key.pem").write_bytes(content)
    with pytest.raises(SettingsError, match=r"cannot use fleet key .*fleet_key\.pem: it is not an Ed25519 key"):
        _ = keys.current


def test_directory_that_cannot_be_used_is_an_error(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(SettingsError, match="cannot use"):
        FleetKeys(folder / "file/state").make()
