"""The content of a backup before its encryption: a tar archive with `manifest.json` and four directories.

    state/          state_dir, with a copy of the database as of one moment
    certificates/   certificates_dir; the manifest has the live versions instead of links
    settings/       issuer.toml, issuer.d/*.toml, trust.toml
    named/PATH      files elsewhere that the settings name

Anyone can encrypt to a public key, so `unpack` refuses everything that `pack` does not write.
"""

import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

from wellkeeper_issuer.errors import BackupError
from wellkeeper_node.certificates.layout import VERSION
from wellkeeper_node.model import LINEAGE_NAME

FORMAT: Final = 1
STATE: Final = "state"
DATABASE: Final = "state/state.db"
CERTIFICATES: Final = "certificates"
ARCHIVE: Final = "certificates/archive"
LIVE: Final = "certificates/live"
SETTINGS: Final = "settings/issuer.toml"
DROP_INS: Final = "settings/issuer.d"
TRUST: Final = "settings/trust.toml"
NAMED: Final = "named"
_MANIFEST: Final = "manifest.json"
# Not hidden, so not what `restore` stages; neither its decision, nor the mark of a standby, the lock, SQLite's log.
_IN_STATE: Final = (
    r"(?!\.|(?:decided|standby)\.json(?:/|\Z)|state\.lock(?:/|\Z)|state\.db-(?:wal|shm|journal)(?:/|\Z))[^/]+"
)
_PATH: Final = re.compile(
    rf"({SETTINGS}|{TRUST}|{DROP_INS}/[^/]+|{STATE}(/{_IN_STATE})+|{NAMED}/.+|{CERTIFICATES}|{LIVE}|{ARCHIVE}(/{LINEAGE_NAME.pattern}(/.+)?)?)",
    re.DOTALL,
)
# A pipe of the administrator's, or a device, has none of these types. A sparse file is longer than what is in the tar.
_FILES: Final = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE})
_PLACES: Final = ("settings", "trust_file", "state_dir", "certificates_dir")
_LATEST: Final = 1 << 33
_DAMAGED: Final = "Use another backup: this one is damaged, or was changed."


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, or a directory if `content` is None; `owner` and `group` are names."""

    path: str
    mode: int
    content: bytes | None = field(repr=False)
    modified_at: int = 0
    owner: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The origin of the backup; `live` has the live versions by certificate, `missing` files that were not found."""

    created_at: datetime
    host: str
    version: str
    settings: str
    trust_file: str
    state_dir: str
    certificates_dir: str
    has_fleet: bool
    live: Mapping[str, str]
    missing: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Contents:
    manifest: Manifest
    entries: Sequence[Entry] = field(repr=False)

    def count(self, pattern: str) -> int:
        """Return the number of files whose whole path matches."""
        return sum(one.content is not None and re.fullmatch(pattern, one.path) is not None for one in self.entries)


def pack(contents: Contents) -> bytes:
    """Return the tar archive."""
    found = asdict(contents.manifest)
    found["created_at"] = contents.manifest.created_at.isoformat()
    text = json.dumps({"format": FORMAT, "entries": len(contents.entries), **found}, indent=2).encode()
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for one in (Entry(_MANIFEST, 0o600, text, int(contents.manifest.created_at.timestamp())), *contents.entries):
            _add(archive, one)
    return into.getvalue()


def unpack(content: bytes) -> Contents:
    """Return what `pack` was given. Raises BackupError for anything else, such as a path that leads elsewhere."""
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            entries = list(_read(archive))
        return _checked(entries)
    except (tarfile.TarError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BackupError("cannot use the backup", str(error) or repr(error), _DAMAGED) from error


def _add(archive: tarfile.TarFile, entry: Entry) -> None:
    member = tarfile.TarInfo(entry.path)
    member.mode, member.mtime, member.uname, member.gname = entry.mode, entry.modified_at, entry.owner, entry.group
    if entry.content is None:
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
    else:
        member.size = len(entry.content)
        archive.addfile(member, io.BytesIO(entry.content))


def _read(archive: tarfile.TarFile) -> Iterator[Entry]:
    for member in archive:
        if member.issparse() or member.type not in _FILES | {tarfile.DIRTYPE}:
            raise ValueError(f"{member.name!r:.200} is neither a file nor a directory")
        if not 0 <= member.mtime < _LATEST:
            raise ValueError(f"{member.name!r:.200} has an invalid date")
        content = None if member.isdir() else _content(archive, member)
        yield Entry(member.name, member.mode, content, int(member.mtime), member.uname, member.gname)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    content = file.read() if file is not None else b""
    if len(content) != member.size:
        raise ValueError(f"{member.name!r:.200} is cut short")
    return content


def _checked(entries: Sequence[Entry]) -> Contents:
    first, rest = (entries[0] if entries else None), entries[1:]
    if first is None or first.path != _MANIFEST or first.content is None:
        raise ValueError(f"it does not begin with {_MANIFEST}")
    members = json.loads(first.content)
    manifest = _manifest(members)
    if members["entries"] != len(rest):  # tarfile takes a damaged header for the end
        raise ValueError(f"it has {len(rest)} files and directories, not {members['entries']}")
    _check_paths([one.path for one in rest])
    files = {one.path for one in rest if one.content is not None}
    for name, version in manifest.live.items():
        if not LINEAGE_NAME.fullmatch(name) or not VERSION.fullmatch(version):
            raise ValueError(f"{name!r:.80} cannot have the live version {version!r:.80}")
        if f"{ARCHIVE}/{name}/{version}/fullchain.pem" not in files:
            raise ValueError(f"the live version of {name} is missing")
    for wanted in (SETTINGS, DATABASE):
        if wanted not in files:
            raise ValueError(f"{wanted} is missing")
    return Contents(manifest, tuple(rest))


def _manifest(found: Any) -> Manifest:  # noqa: ANN401 - whatever the JSON is
    made_by = found["format"]
    if made_by != FORMAT:
        raise BackupError(
            "cannot use the backup",
            f"it has format {made_by!r:.20}, and this version of Wellkeeper reads only {FORMAT}",
            "Restore it with the version of Wellkeeper that wrote it, or a later one.",
        )
    members = {name: found[name] for name in Manifest.__dataclass_fields__}
    at = datetime.fromisoformat(members["created_at"])
    _check_type(at.tzinfo is not None, "created_at")
    for name in _PLACES:
        _check_type(_is_absolute(members[name]), name)
    for name in ("host", "version"):
        _check_type(isinstance(members[name], str), name)
    _check_type(isinstance(members["has_fleet"], bool), "has_fleet")
    _check_type(all(isinstance(one, str) for one in (*members["live"].values(), *members["missing"])), "live")
    return Manifest(**members | {"created_at": at, "missing": tuple(members["missing"])})


def _check_type(is_right: bool, name: str) -> None:
    if not is_right:
        raise ValueError(f"{_MANIFEST} has no usable {name}")


def _is_absolute(path: Any) -> bool:  # noqa: ANN401 - whatever the JSON has
    return isinstance(path, str) and path.startswith("/") and _is_plain(path[1:])


def _is_plain(path: str) -> bool:
    return "\0" not in path and not {"", ".", ".."} & set(path.split("/"))


def _check_paths(paths: Iterable[str]) -> None:
    """Raise ValueError for a path outside the four directories, and for one that occurs twice."""
    known: set[str] = set()
    for path in paths:
        if not _PATH.fullmatch(path) or not _is_plain(path):
            raise ValueError(f"{path!r:.200} does not belong in a backup")
        if path in known:
            raise ValueError(f"{path!r:.200} occurs twice")
        known.add(path)
