"""backup: one encrypted file, written whole and checked."""

import hashlib
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.ages import make_identity, names_in
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.statuses import NAME, NOW, install, record
from tests.json_docs import assert_documented


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    return tmp_path / "identity.txt"


@pytest.fixture
def key(identity: Path) -> str:
    return make_identity(identity)


@pytest.fixture
def version(program: Program) -> str:
    """Set up a host with a certificate, and return its version."""
    program.configure(NAME)
    found = install(program, FakeCa(NOW).pair(dns(NAME)))
    record(program, found, is_reloaded=True, is_served=True)
    return found


def test_backup_for_a_recipient_is_opened_by_age(program: Program, version: str, key: str, identity: Path) -> None:
    file = program.folder / "backup.age"
    finished = program.run("backup", str(file), "--recipient", key)
    assert finished.exit_code == 0, finished
    content = file.read_bytes()
    assert finished.out.splitlines()[0] == (
        f"wrote     {file} ({len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()})"
    )
    assert finished.out.splitlines()[2:] == [
        "contains  1 certificate, 1 account key, 1 settings file, the state",
        f"          {NAME}: {version}",
        f"lacks     {program.config.with_name('trust.toml')}, which does not exist",
        "verified  size and SHA-256 on disk; only 1 recipient can decrypt it",
    ]
    assert file.stat().st_mode & 0o777 == 0o600
    assert {"manifest.json", "state/state.db", "settings/issuer.toml"} < set(names_in(content, identity))


def test_json_says_what_was_verified(program: Program, version: str, key: str) -> None:
    file = program.folder / "backup.age"
    found = program.run("backup", str(file), "--recipient", key, "--json").json()
    assert_documented("backup", found)
    assert found["recipients"] == [key]
    assert not found["is_decrypted"]
    assert found["contents"]["certificates"] == {NAME: version}


def test_keys_come_from_a_file_as_well(program: Program, version: str, key: str, identity: Path) -> None:
    del version
    keys = program.folder / "keys.txt"
    keys.write_text(f"# of the safe\n\n{key}\n")
    file = program.folder / "backup.age"
    assert program.run("backup", str(file), "--recipients-file", str(keys)).exit_code == 0
    assert names_in(file.read_bytes(), identity)
    keys.write_text("# none\n")
    finished = program.run("backup", str(program.folder / "other"), "--recipients-file", str(keys))
    assert (finished.exit_code, finished.err.splitlines()[1]) == (1, "  it has no key")


def test_backup_with_a_passphrase_is_decrypted_and_compared(program: Program, version: str) -> None:
    del version
    passphrase, file = program.folder / "passphrase", program.folder / "backup.age"
    passphrase.write_text("correct horse\nsecond line\n")
    found = program.run("backup", str(file), "--passphrase-file", str(passphrase), "--json").json()
    assert_documented("backup", found)
    assert found["is_decrypted"]
    finished = program.run("restore", str(file), "--passphrase-file", str(passphrase), "--dry-run")
    assert finished.exit_code == 0, finished


def test_all_files_that_the_settings_name_are_included(program: Program, key: str, identity: Path) -> None:
    own = program.folder / "etc/own"
    program.configure(more=f"ca_bundle = '{own}/../own/root.pem'")
    table = (
        f"[[cas]]\nname = 'own'\ndirectory = 'https://ca.example'\neab_key_id = 'x'\neab_hmac_key_file = '{own}/hmac'"
    )
    program.config.write_text(f"{program.config.read_text()}\n{table}\n")
    own.mkdir()
    for name in ("root.pem", "hmac", "engine-ca.pem", "engine.password"):
        (own / name).write_bytes(b"content")
    (program.config.with_suffix(".d")).mkdir()
    (program.config.with_suffix(".d") / "more.toml").write_text("[[certificates]]\nidentifiers = ['b.example']\n")
    program.make_keys()
    of_sentinels = program.state_dir / "engine/sentinels.password"
    of_sentinels.parent.mkdir()
    of_sentinels.write_bytes(b"content")
    (program.config.with_suffix(".d") / "fleet.toml").write_text(
        f"[fleet]\nlisten = ['10.0.0.1:8404']\n[fleet.engine]\naddress = 'rediss://10.0.0.9?ca={own}/engine-ca.pem'\n"
        f"password_file = '{own}/engine.password'\nsentinel_password_file = '{of_sentinels}'\n"
    )
    program.run("trust", "--write")
    file = program.folder / "backup.age"
    finished = program.run("backup", str(file), "--recipient", key)
    assert finished.exit_code == 0, finished
    found = names_in(file.read_bytes(), identity)
    assert {
        "settings/issuer.toml",
        "settings/issuer.d/more.toml",
        "settings/trust.toml",
        f"named{own}/root.pem",
        f"named{own}/hmac",
        f"named{own}/engine-ca.pem",
        f"named{own}/engine.password",
        "state/engine/sentinels.password",
    } <= set(found)
    assert f"named{of_sentinels}" not in found


def test_files_of_notifications_and_of_the_heartbeat_are_included(program: Program, key: str, identity: Path) -> None:
    own = program.folder / "etc/own"
    program.configure(
        more=f"""
[[notifications.webhooks]]
name = "chat"
url = "https://hooks.example"
secret_file = "{own}/webhook.secret"
ca_bundle = "{own}/webhook-ca.pem"
[[notifications.mail]]
name = "admin"
server = "mail.example.org:587"
sender = "w@example.org"
recipients = ["a@example.org"]
user = "w"
password_file = "{own}/mail.password"
ca_bundle = "{own}/mail-ca.pem"
[heartbeat]
url = "https://hc.example/x"
ca_bundle = "{own}/heartbeat-ca.pem"
"""
    )
    own.mkdir()
    names = ("webhook.secret", "webhook-ca.pem", "mail.password", "mail-ca.pem", "heartbeat-ca.pem")
    files = [own / name for name in names]
    for one in files:
        one.write_bytes(b"content")
    program.make_keys()
    file = program.folder / "backup.age"
    finished = program.run("backup", str(file), "--recipient", key)
    assert finished.exit_code == 0, finished
    assert {f"named{one}" for one in files} <= set(names_in(file.read_bytes(), identity))


def test_existing_file_is_replaced_only_with_force(program: Program, version: str, key: str, identity: Path) -> None:
    del version
    file = program.folder / "backup.age"
    file.write_bytes(b"precious")
    finished = program.run("backup", str(file), "--recipient", key)
    assert (finished.exit_code, file.read_bytes()) == (1, b"precious")
    assert finished.err == (
        f"wellkeeper: cannot write {file}\n  it exists\n  Choose another name, or replace it with --force.\n"
    )
    assert program.run("backup", str(file), "--recipient", key, "--force").exit_code == 0
    assert names_in(file.read_bytes(), identity)
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--recipient", "KEY", "--passphrase-file", "x"], "either for recipients or for a passphrase"),
        ([], "Missing option '--recipient' or '--passphrase-file'"),
    ],
)
def test_contradictory_and_missing_options_are_usage(
    program: Program, version: str, arguments: list[str], words: str
) -> None:
    del version
    finished = program.run("backup", str(program.folder / "backup.age"), *arguments)
    assert finished.exit_code == 2
    assert words in " ".join(finished.err.split())


def test_standard_output_with_json_is_refused(program: Program, version: str, key: str) -> None:
    del version
    assert program.run("backup", "-", "--recipient", key, "--json").exit_code == 2


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("issuer/backup.age", "it is in state_dir, and would be in the next backup"),
        ("none/backup.age", "No such file or directory"),
    ],
)
def test_unsuitable_place_is_refused(program: Program, version: str, key: str, place: str, why: str) -> None:
    del version
    finished = program.run("backup", str(program.folder / place), "--recipient", key)
    assert (finished.exit_code, finished.err.splitlines()[1].strip()) == (1, why)


@pytest.mark.parametrize("option", ["--passphrase-file", "--recipients-file"])
def test_missing_file_of_an_option_is_named(program: Program, version: str, option: str) -> None:
    del version
    finished = program.run("backup", str(program.folder / "backup.age"), option, "/nonexistent")
    assert finished.err.startswith("wellkeeper: cannot read /nonexistent\n  No such file or directory\n")


def test_empty_passphrase_is_refused(program: Program, version: str) -> None:
    del version
    (program.folder / "empty").write_text("\n")
    finished = program.run("backup", str(program.folder / "b"), "--passphrase-file", str(program.folder / "empty"))
    assert (finished.exit_code, finished.err.splitlines()[1]) == (1, "  its first line is empty")


def test_file_that_cannot_be_read_is_named(program: Program, version: str, key: str) -> None:
    (program.certificates_dir / "archive" / NAME / version / "large").write_bytes(bytes(2 << 20))
    finished = program.run("backup", str(program.folder / "backup.age"), "--recipient", key)
    assert finished.exit_code == 1
    assert "large is longer than 1048576 bytes" in finished.err
    assert not (program.folder / "backup.age").exists()


def test_host_without_keys_is_not_backed_up(program: Program, key: str) -> None:
    program.configure(NAME)
    finished = program.run("backup", str(program.folder / "backup.age"), "--recipient", key)
    assert finished.exit_code == 2
    assert "Run 'wellkeeper init' to create it." in finished.err


def test_missing_library_is_named_with_the_command_that_installs_it(program: Program, version: str, key: str) -> None:
    del version
    code = "import sys; sys.modules['pyrage'] = None; from wellkeeper_issuer.__main__ import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "backup", str(program.folder / "backup.age"), "--recipient", key]
    finished = subprocess.run(command, capture_output=True, check=False, text=True)
    assert finished.returncode == 1
    assert finished.stderr == (
        "wellkeeper: cannot encrypt or decrypt\n  the Python package pyrage is missing\n"
        "  Run \"pip install 'wellkeeper[backup]'\" where Wellkeeper is installed.\n"
    )


def test_terminal_asks_for_the_passphrase_twice(program: Program, version: str) -> None:
    del version
    file = program.folder / "backup.age"
    command = [sys.executable, "-m", "wellkeeper_issuer", "backup", str(file)]
    leader, follower = pty.openpty()
    with subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, start_new_session=True):
        os.close(follower)
        shown = b""
        for prompt in (b"Passphrase: ", b"Repeat for confirmation: "):
            while not shown.endswith(prompt):
                shown += os.read(leader, 1000)
            os.write(leader, b"correct horse\n")
        with suppress(OSError):  # the end of a terminal whose programs have all ended
            while True:
                shown += os.read(leader, 1000)
    os.close(leader)
    assert b"correct horse" not in shown
    assert b"verified  decrypted with the passphrase, and compared" in shown
