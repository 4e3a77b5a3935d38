"""The trust file's format: what is accepted, what is refused, and where."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.responder import messages
from tests.unprivileged import as_unprivileged_user, shared_folder
from wellkeeper_client import trust_file
from wellkeeper_client.publishers import Publisher
from wellkeeper_client.trust_file import MAX_BYTES, Trust, TrustError, parse, read, to_toml

ONE, TWO, THREE = ("A" * 43, "B" * 43, "C" * 43)
TRUST = Trust((ONE, TWO), (THREE,))
OF_A_FLEET = Trust((ONE, TWO), (THREE,), (TWO, ONE))
PUBLISHER = Publisher("certbot", (TWO,), (TWO,), ("a.example", "*.b.example"))
LEGO = Publisher("lego", (ONE, TWO), (ONE,), ("2001:db8::1",))
WITH_PUBLISHERS = replace(OF_A_FLEET, publishers=(PUBLISHER, LEGO))
PATH = Path("/etc/wellkeeper/trust.toml")


def refusal(text: str | bytes) -> str:
    with pytest.raises(TrustError) as caught:
        parse(text if isinstance(text, bytes) else text.encode(), PATH)
    return str(caught.value)


@pytest.mark.parametrize("trust", [TRUST, OF_A_FLEET, WITH_PUBLISHERS], ids=["one host", "fleet", "publishers"])
@pytest.mark.parametrize("notes", [{}, {ONE: "letsencrypt", THREE: 'a "quoted"\nline # \\'}], ids=["plain", "noted"])
def test_written_file_is_read_with_the_same_values(trust: Trust, notes: dict[str, str]) -> None:
    text = to_toml(trust, notes)
    assert parse(text.encode(), PATH) == trust
    assert len(text.splitlines()) == len(to_toml(trust).splitlines())


def test_file_without_a_fleet_is_as_earlier_versions_wrote_it() -> None:
    """An earlier version refuses unknown keys."""
    assert "fleet" not in to_toml(TRUST)
    assert "publishers" not in to_toml(OF_A_FLEET)


def test_example_of_the_design_page_is_valid() -> None:
    page = Path(__file__).parents[2] / "docs/design/0018-trust-file.md"
    example = [line[4:] for line in page.read_text().splitlines() if line.startswith("    ") and " = " in line]
    assert parse("\n".join(example).encode(), page) == messages.TRUST


@pytest.mark.parametrize("trust", [TRUST, OF_A_FLEET, WITH_PUBLISHERS], ids=["one host", "fleet", "publishers"])
def test_no_beginning_of_a_file_is_a_valid_file(trust: Trust) -> None:
    data = to_toml(trust, {THREE: "the next one"}).encode()
    accepted = []
    for end in range(len(data)):
        try:
            accepted.append((end, parse(data[:end], PATH)))
        except TrustError:
            continue
    # Without the last line end, nothing is missing.
    assert accepted == [(len(data) - 1, trust)]


def test_values_count_once() -> None:
    assert parse(to_toml(Trust((ONE, ONE), (TWO, THREE, TWO))).encode(), PATH) == Trust((ONE,), (TWO, THREE))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "trust.toml:1: the key version is missing"),
        ("version = 1\npublishing_keys = []\n", "trust.toml:2: the key account_thumbprints is missing"),
        ("version = 1\nversion = 1\n", "trust.toml:2: not valid TOML: Cannot overwrite a value"),
        ("version = 1\naccount_thumbprints = [\n", "trust.toml:2: not valid TOML: "),
        (b"version = 1 # \xff", "trust.toml is not UTF-8"),
        ("x = " + "[" * 10_000, "trust.toml:1: not valid TOML: "),
        (to_toml(TRUST).replace("version = 1", "version = 2"), ":3: version is 2, this program reads version 1"),
        (to_toml(TRUST).replace("version = 1", "version = true"), ":3: version is True, this program reads version 1"),
        (
            to_toml(WITH_PUBLISHERS).replace("version = 2", "version = 1"),
            ":3: version is 1, this program reads version 2",
        ),
        (to_toml(WITH_PUBLISHERS).replace("*.b", "*b"), ":6: certbot: '*b.example' is neither a name in lower case,"),
        (to_toml(replace(TRUST, publishers=(LEGO, LEGO))), ":6: two publishers are named 'lego'"),
        (
            to_toml(TRUST).replace("version = 1", "version = 2\npublishers = []"),
            ":4: publishers must be a non-empty list",
        ),
        (to_toml(TRUST) + "more = 1\n", ":15: unknown key 'more', expected version, account_thumbprints,"),
        (to_toml(TRUST) + "[section]\n", ":15: unknown key 'section', expected version"),
        (to_toml(TRUST).replace(TWO, TWO[1:]), f":8: '{TWO[1:]}' in account_thumbprints: expected 43 characters"),
        (to_toml(TRUST).replace(THREE, "C C"), ":13: 'C C' in publishing_keys: expected 43 characters of base64url"),
        (to_toml(TRUST).replace(f'"{TWO}"', "7"), "account_thumbprints must contain strings only, not 7"),
        (to_toml(Trust((), (ONE,))), ":6: account_thumbprints must be a non-empty list of strings"),
        (to_toml(Trust((ONE,), ())), ":11: publishing_keys must be a non-empty list of strings"),
        (f'version = 1\npublishing_keys = ["{ONE}"]\naccount_thumbprints = "{ONE}"', ":3: account_thumbprints must be"),
        (to_toml(TRUST) + "fleet_keys = []\n", ":15: fleet_keys must be a non-empty list of strings"),
        (to_toml(OF_A_FLEET).replace(TWO, "D D", 1), ":7: 'D D' in fleet_keys: expected 43 characters of base64url"),
        (to_toml(TRUST).replace(TWO, "\\u001b[2J" * 100), "in account_thumbprints: expected 43 characters"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_mistake_is_one_line_with_file_line_and_remedy(text: str | bytes, words: str) -> None:
    found = refusal(text)
    assert words in found
    assert found.endswith(". Run 'wellkeeper trust --write' on the issuer's host.")
    assert found.isprintable()
    assert len(found) < 260


def test_missing_file_or_directory_is_its_own_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "none", tmp_path / "none" / "trust.toml", tmp_path / "file" / "trust.toml"):
        with pytest.raises(FileNotFoundError):
            read(path)


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_file_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "trust.toml"
    path.write_text(to_toml(TRUST))
    assert read(path) == TRUST
    path.chmod(mode)
    with pytest.raises(TrustError, match=r"may write to .*trust.toml .*Run 'chmod go-w "):
        read(path)


def test_file_that_cannot_be_read_is_reported_with_the_command_that_permits_it() -> None:
    with shared_folder() as folder:
        path = folder / "trust.toml"
        path.write_text(to_toml(TRUST))
        path.chmod(0)
        with as_unprivileged_user(), pytest.raises(TrustError) as caught:
            read(path)
        assert f"cannot read {path}: Permission denied. Let uid" in str(caught.value)
        assert f"'chmod a+rX {folder} {path}'" in str(caught.value)


def test_pipes_directories_and_endless_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "long").write_bytes(b"#" * (MAX_BYTES + 1))
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("folder", "pipe", "long", "endless", "loop"):
        with pytest.raises(TrustError, match=name):
            read(tmp_path / name)


def test_union_and_difference_keep_the_order() -> None:
    other = Trust((TWO, THREE), (ONE,))
    assert TRUST | other == Trust((ONE, TWO, THREE), (THREE, ONE))
    assert TRUST - other == Trust((ONE,), (THREE,))
    assert not TRUST - TRUST
    added = OF_A_FLEET - TRUST
    assert added
    assert added == Trust((), (), (TWO, ONE))
    assert TRUST | OF_A_FLEET == OF_A_FLEET
    assert trust_file.NAME == "trust.toml"
