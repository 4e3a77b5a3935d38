"""Find where each part of a backup belongs on this host, and who gets it."""

import grp
import pwd
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from wellkeeper_issuer.outside.backup import contents
from wellkeeper_issuer.outside.backup.contents import Contents, Entry
from wellkeeper_issuer.outside.state.lock import STAGING
from wellkeeper_node import rights
from wellkeeper_node.durable import Owner

_FILE_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o755
_SECRET: Final = 0o700


@dataclass(frozen=True, slots=True)
class Item:
    """A file, a directory (without content) or a link, at `inside` of `base`; `inside` is "" for `base` itself."""

    base: Path
    inside: str
    mode: int
    content: bytes | None = field(default=None, repr=False)
    link: str = ""
    modified_at: int = 0
    owner: str = ""
    group: str = ""

    @property
    def top(self) -> str:
        """The first part of the path, which is renamed into place with all below it."""
        return self.inside.partition("/")[0]

    @property
    def staged(self) -> Path:
        return self.base / STAGING / self.inside

    def owner_here(self) -> Owner:
        """Return user and group by their names, as far as they exist here and this thread may give files to them."""
        user, group = _user(self.owner), _group(self.group)
        may_give = user != -1 and group != -1 and rights.may_give(user, group)
        return Owner(user, group) if may_give else Owner()


def find_items(found: Contents, settings: Path) -> list[Item]:
    """Return what to write, a directory before its content; `settings` is the main file, which is the last."""
    items = [_item(found, settings, entry) for entry in found.entries]
    items += _live_links(found)
    unique: dict[Path, Item] = {}
    for item in items:
        unique.setdefault(item.base / item.inside, item)  # a named file may also be in state_dir
    return sorted(unique.values(), key=lambda one: one.base / one.inside == settings)


def _item(found: Contents, settings: Path, entry: Entry) -> Item:
    manifest = found.manifest
    section, _, inside = entry.path.partition("/")
    if section == contents.STATE:
        return Item(
            Path(manifest.state_dir), inside, entry.mode & _SECRET, entry.content, modified_at=entry.modified_at
        )
    if section == contents.CERTIFICATES:
        base = Path(manifest.certificates_dir)
    else:
        final = _single(found, settings, entry.path)
        base, inside = _base_and_inside(found, final)
    most = _FOLDER_MODE if entry.content is None else _FILE_MODE
    return Item(base, inside, entry.mode & most, entry.content, "", entry.modified_at, entry.owner, entry.group)


def _single(found: Contents, settings: Path, path: str) -> Path:
    """Return the place of a file that is restored by itself."""
    if path == contents.SETTINGS:
        return settings
    if path == contents.TRUST:
        trust = Path(found.manifest.trust_file)
        return settings.with_name(trust.name) if trust.parent == Path(found.manifest.settings).parent else trust
    if path.startswith(contents.DROP_INS):
        return settings.with_suffix(".d") / Path(path).name
    return Path(path.removeprefix(contents.NAMED))


def _base_and_inside(found: Contents, final: Path) -> tuple[Path, str]:
    """Return the directory in which the file is staged: one of a whole tree has only one place for that."""
    for base in (Path(found.manifest.state_dir), Path(found.manifest.certificates_dir)):
        if base in final.parents:
            return base, str(final.relative_to(base))
    return final.parent, final.name


def _live_links(found: Contents) -> Iterator[Item]:
    base = Path(found.manifest.certificates_dir)
    for name, version in found.manifest.live.items():
        yield Item(base, f"live/{name}", 0, link=f"../archive/{name}/{version}")


def _user(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return -1


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return -1
