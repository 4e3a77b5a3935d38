"""publisher add, list and remove: keys of other ACME clients, and what they may publish."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from tests.issuer.commands.conftest import Program
from tests.issuer.commands.test_trust_accounts import write_key
from tests.json_docs import assert_documented
from tests.unprivileged import UNPRIVILEGED_ID
from wellkeeper_client import trust_file
from wellkeeper_client.publishers import Publisher
from wellkeeper_client.signing import encode_public_key
from wellkeeper_issuer.outside.keys import key_files


@pytest.fixture
def ready(program: Program) -> Program:
    program.configure("a.example")
    program.make_keys()
    return program


def key_of(program: Program, name: str) -> Path:
    return program.config.parent / f"publishers/{name}.pem"


def public_key(program: Program, name: str) -> str:
    private = key_files.read_ed25519_key(key_of(program, name), "publishing key")
    return encode_public_key(private.public_key())


def add(program: Program, name: str, *more: str) -> tuple[str, ...]:
    key = program.folder / f"{name}.key"
    if not key.exists():
        write_key(key)
    return ("publisher", "add", name, "--account-key", str(key), "--identifier", "*.B.example", *more)


def test_added_publisher_is_in_the_trust_file_once_it_is_written(ready: Program) -> None:
    thumbprint = write_key(ready.folder / "certbot.key")
    names = ("--identifier", "2001:db8:0::1", "--identifier", "*.Bücher.example.")
    finished = ready.run(*add(ready, "certbot", *names))
    assert finished.exit_code == 0, finished.err
    assert finished.out.startswith("certbot may publish for *.b.example, 2001:db8::1, *.xn--bcher-kva.example.\n")
    assert f"  publishing key  {key_of(ready, 'certbot')}, for its owner only\n" in finished.out
    assert stat.S_IMODE(key_of(ready, "certbot").stat().st_mode) == 0o600
    identifiers = ("*.b.example", "2001:db8::1", "*.xn--bcher-kva.example")
    wanted = Publisher("certbot", (thumbprint,), (public_key(ready, "certbot"),), identifiers)
    assert "certbot    no" in ready.run("publisher", "list").out
    written = ready.run("trust", "--write")
    assert f"  + publishers: {wanted}\n" in written.out
    assert trust_file.read(ready.config.with_name("trust.toml")).publishers == (wanted,)
    listed = ready.run("publisher", "list", "--json").json()
    assert_documented("publisher list", listed)
    assert listed["publishers"] == [wanted.to_json() | {"is_trusted": True}]
    assert " yes " in ready.run("trust", "--account-key", str(ready.folder / "certbot.key")).out


def test_removed_file_revokes_the_publisher(ready: Program) -> None:
    ready.run(*add(ready, "certbot"))
    ready.run("trust", "--write")
    (ready.config.with_suffix(".d") / "publisher-certbot.toml").unlink()
    assert "  - publishers: certbot with key " in ready.run("trust", "--write").out
    assert trust_file.read(ready.config.with_name("trust.toml")).publishers == ()
    assert ready.run("publisher", "list").out.split() == ["PUBLISHER", "TRUSTED", "ACCOUNTS", "NAMES"]


def test_removed_publisher_is_revoked_at_once_and_nothing_else_changes(ready: Program) -> None:
    for name in ("certbot", "lego"):
        ready.run(*add(ready, name))
    assert "is removed" in ready.run("publisher", "remove", "lego").out  # without a trust file
    ready.run("trust", "--write")
    ready.run(*add(ready, "later"))
    path = ready.config.with_name("trust.toml")
    before = trust_file.read(path)
    finished = ready.run("publisher", "remove", "certbot")
    assert finished.exit_code == 0, finished.err
    assert finished.out.startswith("certbot is removed from the trust file.\n")
    assert "note   cannot reach the responder" in finished.out
    assert "copy the trust file" not in finished.out
    assert trust_file.read(path) == replace(before, publishers=())
    assert not key_of(ready, "certbot").exists()
    assert [one["name"] for one in ready.run("publisher", "list", "--json").json()["publishers"]] == ["later"]
    assert "\npublishers: later\n" in ready.run("status").out
    assert ready.run("status", "--json").json()["publishers"] == [{"name": "later", "identifiers": ["*.b.example"]}]
    assert (
        ready.run("history", "--kind", "key-retired", "--json").json()["events"][-1]["details"]["publisher"]
        == "certbot"
    )
    assert ready.run(*add(ready, "certbot")).exit_code == 0
    ready.run("fleet", "listen", "10.0.0.1:8404")
    assert "Next: copy the trust file to the other nodes" in ready.run("publisher", "remove", "certbot").out


def test_publisher_that_is_unknown_or_written_by_hand_is_not_removed(ready: Program) -> None:
    ready.run(*add(ready, "certbot"))
    unknown = ready.run("publisher", "remove", "lego")
    assert (unknown.exit_code, "there is no publisher named lego\n  the settings have: certbot\n" in unknown.err) == (
        2,
        True,
    )
    drop_in = ready.config.with_suffix(".d") / "publisher-certbot.toml"
    text = drop_in.read_text()
    drop_in.write_text(text + text.replace('"certbot"', '"other"').replace(public_key(ready, "certbot"), "A" * 43))
    refused = ready.run("publisher", "remove", "certbot")
    assert f"  Remove lines 3 to 7 of {drop_in}, then run 'wellkeeper trust --write'.\n" in refused.err
    drop_in.write_text(text)
    ready.config.with_name("trust.toml").write_text("version = 9\n")
    refused = ready.run("publisher", "remove", "certbot")
    assert "cannot revoke publisher certbot; nothing was changed\n" in refused.err
    assert "Run 'wellkeeper trust --write', then repeat this." in refused.err
    assert key_of(ready, "certbot").exists()


@pytest.mark.root
def test_key_belongs_to_the_user_of_the_client(ready: Program) -> None:
    found = ready.run(*add(ready, "certbot", "--user", "nobody"), "--json").json()
    assert_documented("publisher add", found)
    status = Path(found["key_file"]).stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (UNPRIVILEGED_ID, 0o600)


@pytest.mark.root
def test_revoked_publisher_gets_another_key_when_it_is_added_again(ready: Program) -> None:
    ready.run(*add(ready, "certbot", "--user", "nobody"))
    before = key_of(ready, "certbot").read_bytes()
    (ready.config.with_suffix(".d") / "publisher-certbot.toml").unlink()
    finished = ready.run(*add(ready, "certbot"))
    assert finished.exit_code == 0, finished.err
    assert key_of(ready, "certbot").read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--user", "no-such-user"), "cannot make a key for no-such-user\n  this host has no such user\n"),
        (("--identifier", "nothing"), "cannot add the publisher\n  identifiers: 'nothing' is neither"),
        (("--account-key", "/none"), "cannot read account key /none\n"),
    ],
)
def test_mistakes_make_no_key(ready: Program, arguments: tuple[str, ...], words: str) -> None:
    finished = ready.run(*add(ready, "certbot", *arguments))
    assert (finished.exit_code, finished.out) == (2, "")
    assert words in finished.err
    assert not key_of(ready, "certbot").exists()


def test_name_that_leads_elsewhere_is_refused(ready: Program) -> None:
    write_key(ready.folder / "x.key")
    arguments = ("--account-key", str(ready.folder / "x.key"), "--identifier", "a.example")
    finished = ready.run("publisher", "add", "../x", *arguments)
    assert "cannot add the publisher\n  name: " in finished.err


def test_second_publisher_needs_another_name(ready: Program) -> None:
    ready.run(*add(ready, "certbot"))
    finished = ready.run(*add(ready, "certbot"))
    assert "there is a publisher named certbot already" in finished.err


def test_account_is_trusted_with_names_by_one_list_only(ready: Program) -> None:
    thumbprint = write_key(ready.folder / "certbot.key")
    ready.run("trust", "--write", "--account-key", str(ready.folder / "certbot.key"))
    why = f"account_thumbprints: {thumbprint} is also in the account_thumbprints for every name"
    refused = ready.run(*add(ready, "certbot"))
    assert f"cannot add the publisher\n  {why}" in refused.err
    assert "Run 'wellkeeper trust --unpin THUMBPRINT --write' first." in refused.err
    text = f"[[publishers]]\nname = 'x'\naccount_thumbprints = ['{thumbprint}']\npublishing_keys = ['{'A' * 43}']\n"
    with ready.config.open("a") as file:
        file.write(f"\n{text}identifiers = ['a.example']\n")
    checked = ready.run("config", "check")
    assert (checked.exit_code, f"publishers[0].{why}" in checked.err + checked.out) == (2, True), checked


def test_key_that_two_hold_is_refused(ready: Program) -> None:
    key = key_files.read_ed25519_key(ready.state_dir / "publishing_key.pem", "publishing key")
    own = encode_public_key(key.public_key())
    text = f"[[publishers]]\nname = 'x'\naccount_thumbprints = ['{own}']\npublishing_keys = ['{own}']\n"
    with ready.config.open("a") as file:
        file.write(f"\n{text}identifiers = ['a.example']\n")
    finished = ready.run("trust")
    assert finished.exit_code == 2
    assert f"the publishing key {own} of x is also that of the issuer" in finished.err


@pytest.mark.parametrize("key", ["short", 7])
def test_publishing_key_of_the_settings_is_checked(ready: Program, key: object) -> None:
    text = f"[[publishers]]\nname = 'x'\naccount_thumbprints = ['{'A' * 43}']\npublishing_keys = [{key!r}]\n"
    with ready.config.open("a") as file:
        file.write(f"\n{text}identifiers = ['a.example']\n")
    assert ready.run("trust").exit_code == 2
