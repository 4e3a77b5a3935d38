"""The content of a backup: what was packed comes back, and nothing else is accepted."""

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from wellkeeper_issuer.errors import BackupError
from wellkeeper_issuer.outside.backup.contents import Contents, Entry, Manifest, pack, unpack

VERSION: Final = "20261130T021046Z-04aa34f3"
MANIFEST: Final = Manifest(
    created_at=datetime(2026, 11, 30, 3, tzinfo=UTC),
    host="web1",
    version="0.1.0",
    settings="/etc/wellkeeper/issuer.toml",
    trust_file="/etc/wellkeeper/trust.toml",
    state_dir="/var/lib/wellkeeper/issuer",
    certificates_dir="/var/lib/wellkeeper/certificates",
    has_fleet=False,
    live={"a.example": VERSION},
    missing=("/etc/ssl/own-ca.pem",),
)
ENTRIES: Final = (
    Entry("state/state.db", 0o600, b"SQLite", 1_700_000_000, "root", "root"),
    Entry("state/accounts", 0o700, None, 1_700_000_001),
    Entry("state/accounts/ca.example-1.pem", 0o600, b"key"),
    Entry("certificates/archive/a.example", 0o700, None),
    Entry(f"certificates/archive/a.example/{VERSION}/fullchain.pem", 0o644, b""),
    Entry("settings/issuer.toml", 0o640, b"ca = 'letsencrypt'", 0, "root", "ssl-cert"),
    Entry("settings/issuer.d/b.example.toml", 0o644, b"[[certificates]]"),
    Entry("named/etc/ssl/own-ca.pem", 0o644, b"PEM"),
)
CONTENTS: Final = Contents(MANIFEST, ENTRIES)


def tar(*members: tuple[tarfile.TarInfo, bytes], manifest: dict[str, Any] | None = None) -> bytes:
    """Return an archive with a valid manifest and the files that each must have, then these members."""
    count = sum(one.content is not None for one in ENTRIES) + len(members)
    text = json.dumps(members_of(CONTENTS) | {"entries": count} | (manifest or {})).encode()
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w") as archive:
        for name, content in (("manifest.json", text), *((one.path, one.content) for one in ENTRIES)):
            if content is not None:
                archive.addfile(sized(name, content), io.BytesIO(content))
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return into.getvalue()


def members_of(contents: Contents) -> dict[str, Any]:
    with tarfile.open(fileobj=io.BytesIO(pack(contents))) as archive:
        file = archive.extractfile("manifest.json")
        assert file is not None
        found: dict[str, Any] = json.load(file)
        return found


def sized(name: str, content: bytes = b"", **more: Any) -> tarfile.TarInfo:  # noqa: ANN401 - fields of a member
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in more.items():
        setattr(member, key, value)
    return member


def refusal(content: bytes) -> BackupError:
    with pytest.raises(BackupError) as refused:
        unpack(content)
    return refused.value


def test_what_was_packed_comes_back() -> None:
    assert unpack(pack(CONTENTS)) == CONTENTS


def test_archive_can_be_listed_by_tar_and_begins_with_its_manifest() -> None:
    with tarfile.open(fileobj=io.BytesIO(pack(CONTENTS))) as archive:
        assert archive.getnames() == ["manifest.json", *(one.path for one in ENTRIES)]
    assert members_of(CONTENTS)["format"] == 1


@pytest.mark.parametrize(
    "name",
    [
        "../etc/passwd",
        "/etc/passwd",
        "state/../../etc/cron.d/x",
        "state//x",
        "state/./x",
        "state/",
        "state/.wellkeeper-restore/x",
        "state/decided.json",
        "state/state.lock",
        "state/state.db-wal",
        "named/",
        "named/../x",
        "settings/other.toml",
        "settings/issuer.d/a/b.toml",
        "settings/issuer.d/..",
        "certificates/live/a.example",
        "certificates/archive/../x",
        "certificates/archive/UPPER/x",
        "elsewhere/x",
        "manifest.json",
        "state/state.db",
    ],
)
def test_other_paths_and_repeated_ones_are_refused(name: str) -> None:
    assert refusal(tar((sized(name), b""))).what == "cannot use the backup"


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE],
)
def test_links_devices_and_sparse_files_are_refused(kind: bytes) -> None:
    assert refusal(tar((sized("state/x", type=kind, linkname="/etc/shadow"), b""))).what == "cannot use the backup"


def test_sparse_file_in_the_newer_format_is_refused() -> None:
    sparse = sized("state/x", b"0\n", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"})
    assert "neither a file nor a directory" in refusal(tar((sparse, b"0\n".ljust(512)))).why


@pytest.mark.parametrize("date", [-1, 1 << 40])
def test_date_that_no_file_can_have_is_refused(date: int) -> None:
    assert refusal(tar((sized("state/x", mtime=date), b""))).why == "'state/x' has an invalid date"


def test_size_beyond_the_end_is_refused() -> None:
    huge = sized("state/x").tobuf().replace(b"00000000000\0", b"77777777777\0", 1)
    assert refusal(tar()[:-10240] + huge).what == "cannot use the backup"


@pytest.mark.parametrize("cut", [0, 100, 512, 1024, 2000])
def test_truncated_archive_is_refused(cut: int) -> None:
    assert refusal(pack(CONTENTS)[:cut]).what == "cannot use the backup"


def test_archive_that_ends_at_a_damaged_header_is_refused() -> None:
    damaged = pack(CONTENTS).replace(b"settings/issuer.d/b", b"settings/issuer.d/x", 1)
    assert refusal(damaged).why == "it has 6 files and directories, not 8"


def test_anything_but_an_archive_is_refused() -> None:
    assert refusal(b"\0" * 4096).what == "cannot use the backup"
    assert refusal(b"no archive " * 100).what == "cannot use the backup"


@pytest.mark.parametrize(
    "members",
    [
        {"created_at": "yesterday"},
        {"created_at": "2026-11-30T03:00:00"},
        {"created_at": None},
        {"host": 1},
        {"state_dir": "issuer"},
        {"state_dir": "/var/../etc"},
        {"certificates_dir": None},
        {"has_fleet": "no"},
        {"live": []},
        {"live": {"a.example": "../x"}},
        {"live": {"../x": VERSION}},
        {"live": {"b.example": VERSION}},
        {"missing": [1]},
        {"format": None},
    ],
    ids=str,
)
def test_manifest_that_makes_no_sense_is_refused(members: dict[str, Any]) -> None:
    assert refusal(tar(manifest=members)).what == "cannot use the backup"


def test_manifest_that_lacks_a_member_is_refused() -> None:
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w") as archive:
        archive.addfile(sized("manifest.json", b'{"format": 1}'), io.BytesIO(b'{"format": 1}'))
    assert refusal(found.getvalue()).what == "cannot use the backup"


def test_newer_format_names_the_remedy() -> None:
    error = refusal(tar(manifest={"format": 2}))
    assert error.why == "it has format 2, and this version of Wellkeeper reads only 1"
    assert error.remedy == "Restore it with the version of Wellkeeper that wrote it, or a later one."


@pytest.mark.parametrize("path", ["settings/issuer.toml", "state/state.db"])
def test_backup_without_settings_or_state_is_refused(path: str) -> None:
    without: Callable[[Entry], bool] = lambda one: one.path != path  # noqa: E731 - named for the reader
    found = replace(CONTENTS, entries=tuple(filter(without, ENTRIES)))
    assert refusal(pack(found)).why == f"{path} is missing"
