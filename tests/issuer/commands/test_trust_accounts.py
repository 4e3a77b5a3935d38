"""trust --account-key and --clients: accounts of other ACME clients, shown and pinned."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.issuer.commands.conftest import Program
from tests.json_docs import assert_documented
from wellkeeper_client import trust_file
from wellkeeper_issuer.commands import client_accounts
from wellkeeper_node import public_keys


def write_key(path: Path) -> str:
    """Write a new key as lego does, and return its thumbprint."""
    key = ec.generate_private_key(ec.SECP256R1())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return public_keys.thumbprint(key.public_key()) or ""


@pytest.fixture
def ready(program: Program) -> Program:
    program.configure("a.example")
    program.make_keys()
    assert program.run("trust", "--write").exit_code == 0
    return program


def pinned(program: Program) -> tuple[str, ...]:
    return trust_file.read(program.config.with_name("trust.toml")).account_thumbprints[1:]


def test_account_keys_are_shown_and_nothing_is_written(ready: Program) -> None:
    one, two = ready.folder / "one.key", ready.folder / "two.key"
    thumbprints = [write_key(one), write_key(two)]
    finished = ready.run("trust", "--account-key", str(one), str(two))
    lines = finished.out.splitlines()
    assert lines[0].split() == ["CLIENT", "CA", "KEY", "PINNED", "THUMBPRINT", "FILE"]
    for line, thumbprint, path in zip(lines[1:3], thumbprints, (one, two), strict=True):
        assert line.split() == ["-", "-", "EC", "secp256r1", "no", thumbprint, str(path)]
    assert lines[-1] == "Repeat the command with --write to let responders answer for these accounts."
    assert pinned(ready) == ()
    assert not ready.config.with_suffix(".d").exists()


def test_write_pins_accounts_and_later_writes_keep_them(ready: Program) -> None:
    one, two = ready.folder / "one.key", ready.folder / "two\n.key"
    first, second = write_key(one), write_key(two)
    finished = ready.run("trust", "--write", "--account-key", str(one))
    assert f"  + account_thumbprints: {first}\n" in finished.out
    assert pinned(ready) == (first,)
    ready.run("trust", "--write", "--account-key", str(one), "--account-key", str(two))
    assert pinned(ready) == (first, second)
    ready.run("trust", "--write")
    assert pinned(ready) == (first, second)
    assert "Repeat" not in ready.run("trust", "--account-key", str(one)).out
    text = (ready.config.with_suffix(".d") / "pinned-accounts.toml").read_text()
    assert f'  "{first}",  # {one}\n' in text


def test_account_is_unpinned_and_others_stay(ready: Program) -> None:
    paths = [ready.folder / f"{name}.key" for name in ("one", "two", "three")]
    first, second, third = map(write_key, paths)
    ready.run("trust", "--write", "--account-key", *map(str, paths[:2]))
    finished = ready.run("trust", "--write", "--unpin", first)
    assert f"  - account_thumbprints: {first}\n" in finished.out
    assert pinned(ready) == (second,)
    ready.run("publisher", "add", "x", "--account-key", str(paths[2]), "--identifier", "a.example")
    for thumbprint, why in (
        (first, "the settings do not have it\n  If the trust file has it, run 'wellkeeper trust --write'; "),
        (third, "it is an account of publisher x\n  Run 'wellkeeper publisher remove x'."),
    ):
        refused = ready.run("trust", "--write", "--unpin", second, "--unpin", thumbprint)
        assert f"cannot unpin {thumbprint}; nothing was changed\n  {why}" in refused.err
    ready.config.write_text(f"account_thumbprints = ['{first}']\n{ready.config.read_text()}")
    assert "Remove it from account_thumbprints there." in ready.run("trust", "--write", "--unpin", first).err
    assert pinned(ready) == (second,)


def test_account_that_cannot_be_unpinned_keeps_others_from_being_pinned(ready: Program) -> None:
    key = ready.folder / "one.key"
    write_key(key)
    refused = ready.run("trust", "--write", "--account-key", str(key), "--unpin", "A" * 43)
    assert "nothing was changed" in refused.err
    assert not ready.config.with_suffix(".d").exists()
    ready.run("trust", "--write")
    assert pinned(ready) == ()


def test_account_is_unpinned_though_it_is_pinned_in_the_same_command(ready: Program) -> None:
    key = ready.folder / "one.key"
    thumbprint = write_key(key)
    ready.run("trust", "--write", "--account-key", str(key))
    assert ready.run("trust", "--write", "--account-key", str(key), "--unpin", thumbprint).exit_code == 0
    assert pinned(ready) == ()


def test_drop_in_of_another_author_is_left_alone_if_nothing_is_new(ready: Program) -> None:
    key = ready.folder / "one.key"
    thumbprint = write_key(key)
    drop_in = ready.config.with_suffix(".d") / "pinned-accounts.toml"
    drop_in.parent.mkdir()
    drop_in.write_text(f"account_thumbprints = ['{thumbprint}']\n")
    finished = ready.run("trust", "--write", "--account-key", str(key))
    assert (finished.exit_code, finished.err) == (0, "")
    assert pinned(ready) == (thumbprint,)


def test_account_of_a_publisher_is_not_pinned_for_every_name(ready: Program) -> None:
    key = ready.folder / "one.key"
    write_key(key)
    (ready.folder / "home/.acme.sh/ca/ca.example/directory").mkdir(parents=True)
    assert ready.run("publisher", "add", "x", "--account-key", str(key), "--identifier", "a.example").exit_code == 0
    refused = ready.run("trust", "--write", "--account-key", str(key))
    assert refused.exit_code == 2
    assert f"cannot pin the account of {key}; nothing was changed\n  it is that of publisher x," in refused.err
    key.rename(made := ready.folder / "home/.acme.sh/ca/ca.example/directory/account.key")
    found = ready.run("trust", "--write", "--clients", "--home", str(ready.folder / "home"), "--json").json()
    assert str(made) in [one["file"] for one in found["accounts"]]
    assert pinned(ready) == ()


def test_names_of_files_that_others_control_are_shown_in_one_line(
    ready: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ready.folder / "home"
    key = home / ".acme.sh/ca/\x1bcevil/directory/account.key"
    key.parent.mkdir(parents=True)
    write_key(home / "\x1bctarget")
    key.symlink_to(home / "\x1bctarget")
    client_accounts.show(client_accounts.find([home]), ())
    said = capsys.readouterr().out
    assert ("evil" in said, "target" in said) == (True, True)
    assert "\x1b" not in said


def test_removed_line_is_no_longer_pinned(ready: Program) -> None:
    key = ready.folder / "one.key"
    thumbprint = write_key(key)
    ready.run("trust", "--write", "--account-key", str(key))
    drop_in = ready.config.with_suffix(".d") / "pinned-accounts.toml"
    lines = [line for line in drop_in.read_text().splitlines() if thumbprint not in line]
    drop_in.write_text("\n".join([*lines, ""]))
    assert f"  - account_thumbprints: {thumbprint}\n" in ready.run("trust", "--write").out
    assert pinned(ready) == ()


def test_accounts_of_clients_are_found_in_the_given_home(ready: Program) -> None:
    home = ready.folder / "home"
    thumbprint = write_key(home / ".acme.sh/ca/ca.example/directory/account.key")
    broken = home / ".lego/accounts/ca.example/a@b.example/keys/a@b.example.key"
    write_key(broken)
    broken.write_text("")
    arguments = ("trust", "--clients", "--home", str(home))
    shown = ready.run(*arguments)
    assert "acme.sh  https://ca.example/directory" in shown.out
    assert f"{broken}: it is empty" in shown.out
    found = ready.run(*arguments, "--json").json()
    assert_documented("trust", found)
    mine = {one["client"]: one for one in found["accounts"] if one["file"].startswith(str(home))}
    assert mine["acme.sh"] == {
        "client": "acme.sh",
        "ca": "https://ca.example/directory",
        "file": f"{home}/.acme.sh/ca/ca.example/directory/account.key",
        "key": "EC secp256r1",
        "thumbprint": thumbprint,
        "is_pinned": False,
        "fault": None,
    }
    assert (mine["lego"]["thumbprint"], mine["lego"]["fault"]) == (None, "it is empty")


def test_clients_without_accounts_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    client_accounts.show((), ())
    assert capsys.readouterr().out.startswith("No accounts of other ACME clients were found. Name a key with")


def test_key_that_is_no_account_key_changes_nothing(ready: Program) -> None:
    key = ready.folder / "one.key"
    write_key(key)
    finished = ready.run("trust", "--write", "--account-key", str(key), str(ready.folder / "none"))
    assert (finished.exit_code, finished.out) == (2, "")
    assert f"cannot read account key {ready.folder}/none\n  No such file or directory\n" in finished.err
    assert pinned(ready) == ()


@pytest.mark.parametrize("arguments", [("a.key",), ("--home", "/root"), ("--unpin", "A" * 43)])
def test_files_and_homes_need_their_option(ready: Program, arguments: tuple[str, ...]) -> None:
    finished = ready.run("trust", *arguments)
    assert finished.exit_code == 2
    assert "files need --account-key, --home needs --clients, and --unpin needs --write" in finished.err


@pytest.mark.parametrize("text", ["account_thumbprints = []\n", "[[nodes]]\nname = 'b'\n"])
def test_drop_in_of_another_author_is_not_changed(ready: Program, text: str) -> None:
    drop_in = ready.config.with_suffix(".d") / "pinned-accounts.toml"
    drop_in.parent.mkdir()
    drop_in.write_text(text)
    key = ready.folder / "one.key"
    write_key(key)
    finished = ready.run("trust", "--write", "--account-key", str(key))
    assert f"cannot change {drop_in}\n  it was changed by hand: this command expects" in finished.err
    assert drop_in.read_text() == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("account_thumbprints = ['short']", "'short' is not an RFC 7638 thumbprint"),
        ("account_thumbprints = 7", "account_thumbprints must be a list of strings"),
    ],
)
def test_bad_thumbprints_in_a_drop_in_are_reported(ready: Program, text: str, words: str) -> None:
    drop_in = ready.config.with_suffix(".d") / "mine.toml"
    drop_in.parent.mkdir()
    drop_in.write_text(text)
    finished = ready.run("trust")
    assert finished.exit_code == 2
    assert str(drop_in) in finished.err
    assert words in finished.err
