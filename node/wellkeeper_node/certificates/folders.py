"""The `certificates_dir`: each pair in its own directory, and one link per lineage to the live one.

A reader sees the old pair or the new pair, never a mixture: `live/<lineage>` is one relative link, switched by one
rename, and files are always new inodes (nginx 1.27.4 and later keeps a file that was overwritten within a second).
Changes on disk run in threads, and a cancelled change ends when its thread does.
Design: docs/design/0003-install.md.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from wellkeeper_node import durable, presence, public_keys, rights
from wellkeeper_node.certificates import links, pairs, pruning, reading, removal, writing
from wellkeeper_node.certificates.access import GROUP_FOLDER_MODE, GROUP_KEY_MODE, Access, kept_access
from wellkeeper_node.certificates.layout import VERSION
from wellkeeper_node.errors import InstallError, MissingVersionError
from wellkeeper_node.model import LINEAGE_NAME, Installed, Old, Pair

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

_DISOWNED: Final = ".disowned-"
_REVOKED: Final = ".revoked-"


class CertificateFolders:
    """Implements `ports.Certificates` on a local file system; idempotent, and safe for several processes at once.

    `owner` and `group` are numeric ids. Keys are readable by their owner, and by `group` if given.
    """

    def __init__(self, certificates_dir: Path, *, owner: int | None = None, group: int | None = None) -> None:
        self._root = certificates_dir
        self._owner = durable.Owner(-1 if owner is None else owner, -1 if group is None else group)
        self._key_mode = 0o600 if group is None else GROUP_KEY_MODE
        self._folder_mode = 0o700 if group is None else GROUP_FOLDER_MODE

    def live_path(self, lineage: str) -> str:
        return str(self._link(lineage))

    async def versions(self, lineage: str) -> Sequence[str]:
        """Implement `ports.Certificates.versions`. Raises InstallError."""
        with durable.translated(self._root):
            return await asyncio.to_thread(self._as_owner, lineage, lambda: _versions(self._archive(lineage)))

    def own_prefixes(self, lineage: str) -> tuple[str, ...]:
        return (f"{self._archive(lineage).resolve()}/",)

    async def write(self, lineage: str, pair: Pair) -> str:
        """Implement `ports.Certificates.write`. Raises InstallError, also for a pair that does not match."""
        files = pairs.files_of(lineage, pair)
        with durable.translated(self._root):
            return await durable.to_its_end(lambda: self._write(lineage, files))

    async def prove(self, lineage: str) -> None:
        """Implement `ports.Certificates.prove`. Raises InstallError."""
        with durable.translated(self._root):
            await durable.to_its_end(lambda: self._prove(lineage))

    async def switch(self, lineage: str, version: str | None) -> str | None:
        """Implement `ports.Certificates.switch`. Raises InstallError."""
        with durable.translated(self._root):
            return await durable.to_its_end(lambda: self._switch(lineage, version))

    async def old_versions(self, lineage: str, now: datetime) -> list[Old]:
        """Implement `ports.Certificates.old_versions`. Raises InstallError."""
        archive, link = self._archive(lineage), self._link(lineage)
        with durable.translated(self._root):
            return await durable.to_its_end(
                lambda: self._as_owner(lineage, lambda: pruning.find_old(archive, links.current(link), now))
            )

    async def remove_versions(self, lineage: str, versions: Collection[str]) -> None:
        """Implement `ports.Certificates.remove_versions`; one that cannot be removed is logged. Raises InstallError."""

        def remove() -> None:
            with self._locked(lineage), rights.of_path(self._archive(lineage)):
                pruning.remove(self._archive(lineage), set(versions) - {links.current(self._link(lineage))})

        with durable.translated(self._root):
            await durable.to_its_end(remove)

    async def installed(self, lineage: str) -> Installed | None:
        """Implement `ports.Certificates.installed`; raises InstallError when it exists but cannot be read."""
        found = await self._live(lineage)
        if found is None:
            return None
        version, pair = found
        return Installed(lineage, version, reading.read_certificate(pair.chain_pem), bool(pair.certificate_key_pem))

    async def read_pair(self, lineage: str) -> Pair | None:
        """Implement `ports.Certificates.read_pair`. Raises InstallError."""
        found = await self._live(lineage)
        return found[1] if found else None

    async def restore(self, lineage: str, is_wanted: Callable[[Installed], bool]) -> Installed | None:
        """Implement `ports.Certificates.restore`; undoes an interrupted removal. Raises InstallError."""
        await removal.move_back(self._root, lineage)
        with durable.translated(self._root):
            found = await durable.to_its_end(lambda: self._as_owner(lineage, lambda: self._wanted(lineage, is_wanted)))
        if found is None:
            return None
        version, pair = found
        await self.switch(lineage, version or await self.write(lineage, pair))
        return await self.installed(lineage)

    async def mark_revoked(self, lineage: str) -> None:
        """Implement `ports.Certificates.mark_revoked` by an empty file beside the versions. Raises InstallError."""
        installed = await self.installed(lineage)
        if installed is None:
            return
        await self.never_restore(lineage, installed.certificate.fingerprint_sha256)

    async def never_restore(self, lineage: str, fingerprint_sha256: str) -> None:
        """Mark this leaf as revoked, whether or not there is a version of it. Idempotent. Raises InstallError."""
        mark = self._archive(lineage) / f"{_REVOKED}{fingerprint_sha256}"
        with durable.translated(self._root):
            await durable.to_its_end(lambda: self._mark(lineage, mark))

    async def disown_key(self, lineage: str) -> None:
        """Implement `ports.Certificates.disown_key` by an empty file that outlives the version. Raises InstallError."""
        pair = await self.read_pair(lineage)
        if pair is None:
            return
        mark = self._archive(lineage) / f"{_DISOWNED}{public_keys.leaf_key_fingerprint(pair.chain_pem)}"
        with durable.translated(self._root):
            await durable.to_its_end(lambda: self._mark(lineage, mark))

    async def disown_all(self, lineage: str) -> None:
        """Mark every version of a CA, as others may have its key: none is restored, and no key is used for another.

        Idempotent. Raises InstallError.
        """
        archive = self._archive(lineage)

        def marks() -> list[Path]:
            found = [pairs.salvage_pair(archive / version) for version in _versions(archive)]
            known = [one.pair for one in found if one is not None]
            return [mark for pair in known if not _is_self_signed(pair) for mark in _marks(archive, pair)]

        with durable.translated(self._root):
            for mark in await asyncio.to_thread(self._as_owner, lineage, marks):
                await durable.to_its_end(partial(self._mark, lineage, mark))

    async def disowned_keys(self, lineage: str) -> frozenset[str]:
        """Implement `ports.Certificates.disowned_keys`. Raises InstallError."""
        archive = self._archive(lineage)
        with durable.translated(self._root):
            found = await asyncio.to_thread(self._as_owner, lineage, lambda: list(archive.glob(f"{_DISOWNED}*")))
        return frozenset(path.name.removeprefix(_DISOWNED) for path in found)

    async def _live(self, lineage: str) -> tuple[str, Pair] | None:
        with durable.translated(self._root):
            return await self._read_live(lineage)

    async def _read_live(self, lineage: str) -> tuple[str, Pair] | None:
        version = await asyncio.to_thread(self._as_owner, lineage, lambda: links.current(self._link(lineage)))
        if version is None:
            return None
        folder = self._archive(lineage) / version
        try:
            # Reading is blocking work, and checking a large RSA key takes many milliseconds.
            return version, await asyncio.to_thread(self._as_owner, lineage, lambda: pairs.read_pair(folder))
        except (FileNotFoundError, ValueError) as error:
            _log.warning("%s holds no usable certificate: %s", folder, error)
            return None
        except PermissionError as error:
            error.filename = self.live_path(lineage)  # the path in nginx's configuration
            raise

    def _wanted(self, lineage: str, is_wanted: Callable[[Installed], bool]) -> tuple[str | None, Pair] | None:
        """Return the newest usable pair that is wanted; without its version if it has to be written again."""
        archive = self._archive(lineage)
        for version in reversed(_versions(archive)):
            found = pairs.salvage_pair(archive / version)
            if found is None:
                continue
            certificate = reading.read_certificate(found.pair.chain_pem)
            if any(presence.exists(mark) for mark in _marks(archive, found.pair)):
                continue
            if is_wanted(Installed(lineage, version, certificate, bool(found.pair.certificate_key_pem))):
                return version if found.is_whole else None, found.pair
        return None

    def _as_owner(self, lineage: str, work: Callable[[], _Result]) -> _Result:
        """Do it with the rights of the directories' owner: its paths may lead anywhere."""
        with rights.of_owner(self._root, lineage=lineage):
            return work()

    def _mark(self, lineage: str, path: Path) -> None:
        with self._locked(lineage), rights.of_path(path.parent):
            if not presence.exists(path):
                durable.write_file(path, b"", 0o644, self._owner)
                durable.sync(path.parent)

    def _link(self, lineage: str) -> Path:
        return self._root / "live" / _checked(lineage)

    def _archive(self, lineage: str) -> Path:
        return self._root / "archive" / _checked(lineage)

    def _write(self, lineage: str, files: Mapping[str, bytes]) -> str:
        archive = self._archive(lineage)
        with self._locked(lineage):
            durable.make_folder(archive.parent, 0o755, self._owner)
            durable.make_folder(archive, self._folder_mode, self._owner)
            before = links.current(self._link(lineage))
            with rights.of_path(archive, self._owner.group):
                links.remove_leftovers(archive)
                version = writing.version_of(archive, files)
                if not presence.exists(archive / version):
                    writing.write_version(archive, version, files, self._access(before, archive))
                durable.sync(archive)
        return version

    def _access(self, before: str | None, archive: Path) -> Access:
        """Return owner and modes of a new version: those of the previous one, where the settings give no others.

        Workers that read the key themselves could do so until now.
        """
        usual = Access(self._owner, self._key_mode, self._folder_mode)
        return usual if before is None else kept_access(archive / before, usual)

    def _switch(self, lineage: str, version: str | None) -> str | None:
        link = self._link(lineage)
        with self._locked(lineage):
            durable.make_folder(link.parent, 0o755, self._owner)
            before = links.current(link)
            if version == before:
                return before
            if version is None:
                link.unlink()
            else:
                self._point(link, lineage, version)
            durable.sync(link.parent)
        return before

    def _point(self, link: Path, lineage: str, version: str) -> None:
        if VERSION.fullmatch(version) is None or not presence.is_dir(self._archive(lineage) / version):
            raise MissingVersionError(
                f"{self._archive(lineage)} does not have version {version!r}",
                remedy="Run 'wellkeeper renew' again to write it.",
            )
        links.point(link, Path("..", "archive", lineage, version))

    def _prove(self, lineage: str) -> None:
        link, archive = self._link(lineage), self._archive(lineage)
        if not presence.is_dir(self._root):
            return  # the first write creates it
        with self._locked(lineage):
            links.current(link)
            if presence.is_dir(link.parent):
                links.prove_link(link.parent, lineage)
            place = next(path for path in (archive, archive.parent, self._root) if presence.is_dir(path))
            with rights.of_path(place):
                links.prove_folder(place, lineage)

    @contextlib.contextmanager
    def _locked(self, lineage: str) -> Iterator[None]:
        # Only root may create these in a directory of root; no call follows a link.
        with rights.of_path(self._root.parent, self._owner.group):
            durable.make_folder(self._root, 0o755, self._owner)
            if self._owner.user != -1:
                durable.make_folder(self._root / "archive", 0o755, self._owner)
                durable.make_folder(self._root / "live", 0o755, self._owner)
        with rights.of_owner(self._root, self._owner.group), durable.locked(self._root / ".lock", lineage):
            yield


def _checked(lineage: str) -> str:
    if LINEAGE_NAME.fullmatch(lineage) is None:
        raise InstallError(
            f"{lineage!r:.80} is not a valid certificate name",
            remedy="Use only a-z, 0-9, '.', '_' and '-', without '..', and start with a letter, a digit or '_'.",
        )
    return lineage


def _is_self_signed(pair: Pair) -> bool:
    return reading.read_certificate(pair.chain_pem).is_self_signed


def _marks(archive: Path, pair: Pair) -> tuple[Path, Path]:
    """Return where a disowned key and a revoked certificate are marked."""
    key, leaf = public_keys.leaf_key_fingerprint(pair.chain_pem), reading.read_certificate(pair.chain_pem)
    return archive / f"{_DISOWNED}{key}", archive / f"{_REVOKED}{leaf.fingerprint_sha256}"


def _versions(archive: Path) -> list[str]:
    """Return the versions, the oldest first."""
    return pruning.versions(archive) if presence.is_dir(archive) else []
