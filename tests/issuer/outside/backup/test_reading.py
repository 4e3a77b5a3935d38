"""Reading a backup while a daemon works: all of one moment."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.outside.states import NOW, record_everything
from wellkeeper_issuer.errors import BackupError, JournalError
from wellkeeper_issuer.outside.backup.contents import Entry
from wellkeeper_issuer.outside.backup.reading import read_certificates, read_state, walk
from wellkeeper_issuer.outside.state.snapshot import read_snapshot
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_node.certificates.folders import CertificateFolders


def paths(entries: list[Entry]) -> set[str]:
    return {one.path for one in entries}


def rows(database: bytes, folder: Path) -> list[str]:
    """Return the lineages of the attempts in a copy of the state."""
    (folder / "copy.db").write_bytes(database)
    with closing(sqlite3.connect(folder / "copy.db")) as connection:
        return [row[0] for row in connection.execute("SELECT lineage FROM attempts")]


async def test_state_is_copied_while_its_owner_has_it_open(folder: Path, tmp_path: Path, state: State) -> None:
    await record_everything(state, "web")
    assert (folder / "state.db-wal").stat().st_size > 0
    database = read_snapshot(folder / "state.db")
    assert rows(database, tmp_path) == ["web"]


def test_missing_state_is_copied_as_empty_tables(tmp_path: Path) -> None:
    assert rows(read_snapshot(tmp_path / "state.db"), tmp_path) == []


def test_damaged_state_is_not_backed_up(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"damaged " * 100)
    with pytest.raises(JournalError, match="Restore the file from a backup"):
        read_snapshot(tmp_path / "state.db")


def test_all_files_of_the_state_are_read_but_not_those_of_processes(tmp_path: Path) -> None:
    for name in ("state.lock", "state.db-wal", ".fleet_key.pem.tmp", ".wellkeeper-restore/x", "accounts/ca.pem", "new"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"content")
    os.mkfifo(tmp_path / "daemon.sock")
    (tmp_path / "state.db-wal").unlink()
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "publishing_key.pem").symlink_to("new")
    found = read_state(tmp_path)
    assert paths(found) == {
        "state/state.db",
        "state/accounts",
        "state/accounts/ca.pem",
        "state/new",
        "state/publishing_key.pem",
    }
    assert {one.content for one in found if one.path == "state/publishing_key.pem"} == {b"content"}


def test_rotation_of_a_key_meanwhile_is_not_missed(tmp_path: Path) -> None:
    (tmp_path / "fleet_key.pem").write_bytes(b"old")
    (tmp_path / "fleet_key.next.pem").write_bytes(b"new")

    def read(folder: Path, name: str) -> Iterator[Entry]:
        found = list(walk(folder, name))
        if (tmp_path / "fleet_key.next.pem").exists():
            (tmp_path / "fleet_key.next.pem").replace(tmp_path / "fleet_key.pem")
            found = [one for one in found if "next" not in one.path]  # as if it was read after the rename
        yield from found

    assert [one.content for one in read_state(tmp_path, read) if one.path == "state/fleet_key.pem"] == [b"new"]


def test_keys_that_keep_changing_are_an_error(tmp_path: Path) -> None:
    def read(folder: Path, name: str) -> Iterator[Entry]:
        yield from walk(folder, name)
        (tmp_path / "following").write_bytes(b"key")
        (tmp_path / "following").replace(tmp_path / "key.pem")

    with pytest.raises(BackupError, match="its keys keep changing"):
        read_state(tmp_path, read)


async def test_archive_marks_and_live_version_are_read(tmp_path: Path) -> None:
    folders = CertificateFolders(tmp_path)
    first = await folders.write("a.example", FakeCa(NOW).pair(dns("a.example")))
    second = await folders.write("a.example", FakeCa(NOW).pair(dns("a.example")))
    await folders.switch("a.example", first)
    await folders.never_restore("a.example", "ab" * 32)
    archive = tmp_path / "archive/a.example"
    for name in (".number.tmp", f".tmp-{second}/fullchain.pem", f"{second}/more/x"):
        (archive / name).parent.mkdir(exist_ok=True)
        (archive / name).write_bytes(b"")
    (archive / "link").symlink_to("/etc/passwd")
    (archive / second / "link").symlink_to("/etc/passwd")
    found, live = read_certificates(tmp_path)
    assert live == {"a.example": first}
    names = ("cert.pem", "chain.pem", "fullchain.pem", "privkey.pem")
    root = "certificates/archive/a.example"
    assert paths(found) == {
        "certificates",
        "certificates/archive",
        "certificates/live",
        root,
        f"{root}/.revoked-{'ab' * 32}",
        *(f"{root}/{version}" for version in (first, second)),
        *(f"{root}/{version}/{name}" for version in (first, second) for name in names),
    }


@pytest.mark.parametrize("target", ["/elsewhere", "../archive/a.example/20261130T021046Z-04aa34f3"])
def test_live_link_to_another_place_or_a_missing_version_is_left_out(tmp_path: Path, target: str) -> None:
    (tmp_path / "archive/a.example").mkdir(parents=True)
    (tmp_path / "live").mkdir()
    (tmp_path / "live/a.example").symlink_to(target)
    assert read_certificates(tmp_path)[1] == {}


def test_certificate_that_is_removed_meanwhile_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive/a.example").symlink_to("nowhere")
    assert paths(read_certificates(tmp_path)[0]) == {"certificates", "certificates/archive"}


def test_missing_directory_has_no_certificates(tmp_path: Path) -> None:
    assert read_certificates(tmp_path / "none") == ([], {})
