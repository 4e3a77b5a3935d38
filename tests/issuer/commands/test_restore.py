"""restore: all of a backup or nothing, on a host without state."""

import fcntl
import os
import pwd
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from tests.issuer.commands.backups import Backup, edited, files, make_backup, renamed, replaced
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.statuses import NAME, NOW
from tests.json_docs import assert_documented
from wellkeeper_client import services
from wellkeeper_issuer.outside.backup import contents
from wellkeeper_issuer.outside.state.lock import STAGING
from wellkeeper_issuer.outside.state.restored import RestoredFile
from wellkeeper_issuer.outside.state.schema import VERSION
from wellkeeper_issuer.ports.fleet import Lost, Restore

FLEET: Final = "[fleet]\nlisten = ['127.0.0.1:8404']"


@pytest.fixture
def backup(program: Program, tmp_path: Path) -> Backup:
    return make_backup(program, tmp_path)


def test_restored_host_has_everything(program: Program, backup: Backup) -> None:
    shown = program.run("status", "--json").json()
    backup.lose()
    finished = backup.restore()
    assert finished.exit_code == 0, finished
    heading, first, *others = finished.out.splitlines()[-5:]
    assert (heading, first[:45]) == ("Next steps:", "  1. Make sure that the issuer on the former ")
    assert others == [
        "  2. Run 'wellkeeper status', and 'wellkeeper doctor' for what else this host needs.",
        f"  3. {services.sentence('enable --now', 'wellkeeper-responder')}",
        f"  4. {services.sentence('enable --now', 'wellkeeper')}",
    ]
    assert files(program.folder) == backup.before
    assert program.state_dir.stat().st_mode & 0o777 == 0o700
    assert (program.state_dir / "state.db").stat().st_mode & 0o777 == 0o600
    assert program.run("status", "--json").json()["certificates"] == shown["certificates"]
    assert not list(program.folder.rglob(STAGING))


def test_json_of_a_restore(backup: Backup) -> None:
    backup.lose()
    found = backup.restore("--json").json()
    assert_documented("restore", found)
    assert (found["is_restored"], found["is_continued"], found["exists"]) == (True, False, [])


def test_dry_run_shows_what_is_inside_and_what_is_in_the_way(program: Program, backup: Backup) -> None:
    finished = backup.restore("--dry-run")
    assert finished.exit_code == 0
    assert f"exists    {program.state_dir}, so that this host cannot be restored" in finished.out.splitlines()
    found = backup.restore("--dry-run", "--json").json()
    assert_documented("restore", found)
    root = program.certificates_dir
    assert found["exists"] == [str(program.state_dir), str(root / "archive"), str(root / "live")]
    assert not found["is_restored"]
    backup.lose()
    assert backup.restore("--dry-run", "--json").json()["exists"] == []
    assert not list(program.folder.iterdir())


def test_host_with_state_is_refused_and_nothing_changes(program: Program, backup: Backup) -> None:
    finished = backup.restore()
    assert finished.exit_code == 1
    assert finished.err == (
        f"wellkeeper: cannot restore over what is there\n  {program.state_dir} exists, and so do 2 others\n"
        "  Move away what this host does not need; add --dry-run for the list.\n"
    )
    assert files(program.folder) == backup.before


@pytest.mark.parametrize("name", ["etc/issuer.toml", "etc/trust.toml", "etc/issuer.d/b.toml", "certificates/live/x"])
def test_file_with_another_content_is_in_the_way(program: Program, backup: Backup, name: str) -> None:
    backup.lose()
    path = program.folder / name
    path.parent.mkdir(parents=True)
    path.write_text("other")
    finished = backup.restore()
    assert finished.exit_code == 1
    assert finished.err.splitlines()[1].endswith(" exists")
    assert files(program.folder).keys() == {name}


def test_same_settings_and_empty_directories_are_not_in_the_way(program: Program, backup: Backup) -> None:
    text = program.config.read_bytes()
    backup.lose()
    for path in (program.config.parent, program.state_dir, program.certificates_dir / "live"):
        path.mkdir(parents=True)
    program.state_dir.chmod(0o700)
    program.config.write_bytes(text)
    inode = program.config.stat().st_ino
    assert backup.restore().exit_code == 0
    assert program.config.stat().st_ino == inode
    assert files(program.folder).keys() == backup.before.keys()


def test_settings_go_to_another_place_that_config_names(program: Program, backup: Backup) -> None:
    backup.lose()
    other = program.folder / "elsewhere/wellkeeper.toml"
    assert backup.restore("--config", str(other)).exit_code == 0
    assert sorted(path.name for path in other.parent.iterdir()) == ["trust.toml", "wellkeeper.d", "wellkeeper.toml"]


def test_without_a_choice_settings_go_where_they_were(
    program: Program, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup.lose()
    monkeypatch.delenv("WELLKEEPER_CONFIG")
    assert backup.restore().exit_code == 0
    assert program.config.exists()


def test_state_of_an_older_version_is_updated(program: Program, backup: Backup) -> None:
    backup.change(lambda plain: replaced(plain, "state/state.db", older))
    backup.lose()
    assert backup.restore().exit_code == 0
    with closing(sqlite3.connect(program.state_dir / "state.db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert connection.execute("SELECT count(*) FROM publications").fetchone() == (0,)


def test_state_of_a_newer_version_is_refused_and_nothing_changes(program: Program, backup: Backup) -> None:
    backup.change(lambda plain: replaced(plain, "state/state.db", newer))
    backup.lose()
    finished = backup.restore()
    assert finished.exit_code == 1
    assert f"it has schema version {VERSION + 1}" in finished.err
    assert files(program.folder) == {}
    assert not list(program.folder.rglob(STAGING))


def test_damaged_state_is_refused_and_nothing_changes(program: Program, backup: Backup) -> None:
    backup.change(lambda plain: replaced(plain, "state/state.db", lambda _: b"damaged " * 100))
    backup.lose()
    finished = backup.restore()
    assert finished.exit_code == 1
    assert "file is not a database" in finished.err
    assert files(program.folder) == {}


def older(database: bytes) -> bytes:
    vetoes = "DROP TABLE vetoes; CREATE TABLE vetoes (lineage TEXT PRIMARY KEY, asks_at REAL NOT NULL) STRICT;"
    tables = (
        "outbox",
        "outbox_troubles",
        "publications",
        "fleet_nodes",
        "fleet_reports",
        "fleet_missing_tokens",
        "fleet_invites",
        "fleet_uses",
    )
    dropped = " ".join(f"DROP TABLE {table};" for table in tables)
    return edited(database, f"{dropped} {vetoes} PRAGMA user_version = 6;")


def newer(database: bytes) -> bytes:
    return edited(database, f"PRAGMA user_version = {VERSION + 1};")


def test_hostile_archive_changes_nothing(program: Program, backup: Backup) -> None:
    backup.change(lambda plain: renamed(plain, "settings/trust.toml", "../../trust.toml"))
    backup.lose()
    finished = backup.restore()
    assert finished.exit_code == 1
    assert finished.err.startswith("wellkeeper: cannot use the backup\n")
    assert not list(program.folder.iterdir())


def test_file_that_is_a_directory_as_well_changes_nothing(program: Program, backup: Backup) -> None:
    def change(plain: bytes) -> bytes:
        found = contents.unpack(plain)
        both = (contents.Entry("state/x", 0o600, b""), contents.Entry("state/x/y", 0o600, b""))
        return contents.pack(contents.Contents(found.manifest, (*found.entries, *both)))

    backup.change(change)
    backup.lose()
    finished = backup.restore()
    assert finished.exit_code == 1
    assert finished.err.startswith("wellkeeper: cannot restore into ")
    assert files(program.folder) == {}


@pytest.mark.parametrize("cut", [0, 100, -1])
def test_truncated_file_changes_nothing(program: Program, backup: Backup, cut: int) -> None:
    backup.file.write_bytes(backup.file.read_bytes()[:cut])
    backup.lose()
    assert backup.restore().exit_code == 1
    assert not list(program.folder.iterdir())


def test_place_that_cannot_be_written_changes_nothing(program: Program, backup: Backup) -> None:
    backup.lose()
    program.certificates_dir.write_text("a file")
    finished = backup.restore()
    assert finished.exit_code == 1
    assert str(program.certificates_dir) in finished.err
    assert files(program.folder).keys() == {"certificates"}


def test_running_owner_of_the_state_is_not_disturbed(program: Program, backup: Backup) -> None:
    backup.lose()
    program.state_dir.mkdir(mode=0o700)
    with (program.state_dir / "state.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert backup.restore().exit_code == 1
    assert files(program.folder) == {}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "Missing option '--identity'"),
        (["--passphrase-file", "x"], "Missing option '--identity'"),
    ],
)
def test_identity_is_asked_for(program: Program, backup: Backup, options: list[str], words: str) -> None:
    finished = program.run("restore", str(backup.file), *options)
    assert finished.exit_code == 2
    assert words in finished.err


def test_identity_for_a_passphrase_is_refused(program: Program, backup: Backup) -> None:
    backup.file.write_bytes(b"age-encryption.org/v1\n-> scrypt x 18\n")
    finished = backup.restore()
    assert (finished.exit_code, "leave out --identity" in finished.err) == (2, True)
    finished = program.run("restore", str(backup.file))
    assert (finished.exit_code, "Missing option '--passphrase-file'" in finished.err) == (2, True)


def test_what_a_fleet_lacks_is_reported(program: Program, backup: Backup) -> None:
    program.config.write_text(f"{program.config.read_text()}\n{FLEET}\n")
    backup.make()
    backup.lose()
    finished = backup.restore()
    assert finished.exit_code == 0, finished
    assert "the issuer orders nothing until all nodes have reported" in finished.out
    assert "Run 'wellkeeper fleet listen ADDRESS…'" in finished.out
    assert RestoredFile(program.state_dir).read() == Restore()
    status = program.run("status", "--check")
    assert status.exit_code == 1
    assert "waits for the newest manifest of its nodes, from its first start on" in " ".join(status.out.split())


def test_backup_of_a_restored_fleet_has_no_mark_of_the_last_restore(program: Program, backup: Backup) -> None:
    program.config.write_text(f"{program.config.read_text()}\n{FLEET}\n")
    RestoredFile(program.state_dir).write(Restore(NOW, {NAME: Lost("v1", 2)}))
    backup.make()
    backup.lose()
    assert backup.restore().exit_code == 0
    assert RestoredFile(program.state_dir).read() == Restore()


@pytest.mark.root
def test_owners_are_restored_by_name_and_unknown_ones_become_ours(program: Program, backup: Backup) -> None:
    user = pwd.getpwnam("nobody")
    key = program.certificates_dir / "live" / NAME / "privkey.pem"
    os.chown(key, user.pw_uid, user.pw_gid)
    trust = program.config.with_name("trust.toml")
    os.chown(trust, 54321, 54321)
    backup.make()
    backup.lose()
    assert backup.restore().exit_code == 0
    assert (key.stat().st_uid, key.stat().st_gid) == (user.pw_uid, user.pw_gid)
    assert trust.stat().st_uid == os.geteuid()


@pytest.mark.root
def test_directory_of_another_user_is_used_with_the_rights_of_that_user(program: Program, backup: Backup) -> None:
    user = pwd.getpwnam("nobody")
    program.folder.chmod(0o755)
    for path in (program.certificates_dir, *program.certificates_dir.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    backup.make()
    backup.lose()
    assert backup.restore().exit_code == 0
    owners = {path.lstat().st_uid for path in program.certificates_dir.rglob("*")}
    assert owners == {user.pw_uid}
    assert program.certificates_dir.stat().st_uid == user.pw_uid
    assert files(program.folder) == backup.before
