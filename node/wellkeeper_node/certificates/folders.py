"""The `certificates_dir`: each pair in its own directory, and one link per lineage to the live one.

A reader sees the old pair or the new pair, never a mixture: `live/<lineage>` is one relative link, switched by one
rename, and files are always new inodes (nginx 1.27.4 and later keeps a file that was overwritten within a second).
Changes on disk run in threads, and a cancelled change ends when its thread does.
Design: docs/design/0003-install.md.
"""

import asyncio
import contextlib
import errno
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from wellkeeper_node import durable, public_keys, rights
from wellkeeper_node.certificates import reading
from wellkeeper_node.certificates.layout import CHAIN_FILE, KEY_FILE, VERSION, linked_version
from wellkeeper_node.errors import InstallError
from wellkeeper_node.model import LINEAGE_NAME, Installed, Pair

_log = logging.getLogger(__name__)

KEPT_VERSIONS: Final = 5
# An empty file that marks a version whose key stays elsewhere; without it the key was lost.
_KEYLESS_FILE: Final = "privkey-is-elsewhere"
_DISOWNED: Final = ".disowned-"


class CertificateFolders:
    """Implements `ports.Certificates` on a local file system; idempotent, and safe for several processes at once.

    `owner` and `group` are numeric ids. Keys are readable by their owner, and by `group` if given.
    """

    def __init__(self, certificates_dir: Path, *, owner: int | None = None, group: int | None = None) -> None:
        self._root = certificates_dir
        self._owner = durable.Owner(-1 if owner is None else owner, -1 if group is None else group)
        self._key_mode = 0o600 if group is None else 0o640
        self._folder_mode = 0o700 if group is None else 0o750

    def live_path(self, lineage: str) -> str:
        return str(self._link(lineage))

    async def write(self, lineage: str, pair: Pair) -> str:
        """Implement `ports.Certificates.write`. Raises InstallError, also for a pair that does not match."""
        files = _files(lineage, pair)
        with durable.translated(self._root):
            return await durable.to_its_end(lambda: self._write(lineage, files))

    async def switch(self, lineage: str, version: str | None) -> str | None:
        """Implement `ports.Certificates.switch`, then remove old versions.

        The last five, the live one and the one before it are kept.
        """
        with durable.translated(self._root):
            return await durable.to_its_end(lambda: self._switch(lineage, version))

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

    async def disown_key(self, lineage: str) -> None:
        """Implement `ports.Certificates.disown_key` by an empty file that outlives the version. Raises InstallError."""
        pair = await self.read_pair(lineage)
        if pair is None:
            return
        mark = self._archive(lineage) / f"{_DISOWNED}{public_keys.leaf_key_fingerprint(pair.chain_pem)}"
        with durable.translated(self._root):
            await durable.to_its_end(lambda: self._mark(lineage, mark))

    async def disowned_keys(self, lineage: str) -> frozenset[str]:
        """Implement `ports.Certificates.disowned_keys`. Raises InstallError."""
        with durable.translated(self._root):
            found = await asyncio.to_thread(self._disowned, lineage)
        return frozenset(path.name.removeprefix(_DISOWNED) for path in found)

    async def _live(self, lineage: str) -> tuple[str, Pair] | None:
        with durable.translated(self._root):
            return await self._read_live(lineage)

    async def _read_live(self, lineage: str) -> tuple[str, Pair] | None:
        version = await asyncio.to_thread(_current, self._link(lineage))
        if version is None:
            return None
        folder = self._archive(lineage) / version
        try:
            pair = await asyncio.to_thread(self._read_pair, folder)
            is_pair = await asyncio.to_thread(_is_usable, pair)  # checking a large RSA key takes many milliseconds
        except (FileNotFoundError, ValueError) as error:
            _log.warning("%s holds no usable certificate: %s", folder, error)
            return None
        except PermissionError as error:
            error.filename = self.live_path(lineage)  # the path in nginx's configuration
            raise
        return (version, pair) if is_pair else None

    def _read_pair(self, folder: Path) -> Pair:
        with rights.of_owner(self._root):
            return Pair(_read_key(folder / KEY_FILE), rights.read_file(folder / CHAIN_FILE))

    def _disowned(self, lineage: str) -> list[Path]:
        with rights.of_owner(self._root):
            return list(self._archive(lineage).glob(f"{_DISOWNED}*"))

    def _mark(self, lineage: str, path: Path) -> None:
        with self._locked(lineage):
            if not path.exists():
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
            _remove_leftovers(archive)
            version = _version(archive, files)
            if not (archive / version).exists():
                self._write_version(archive, version, files)
            durable.sync(archive)
        return version

    def _write_version(self, archive: Path, version: str, files: Mapping[str, bytes]) -> None:
        unfinished = archive / f".tmp-{version}"
        try:
            durable.make_folder(unfinished, self._folder_mode, self._owner)
            for name, content in files.items():
                mode = self._key_mode if name == KEY_FILE else 0o644
                durable.write_file(unfinished / name, content, mode, self._owner)
            durable.sync(unfinished)
            unfinished.rename(archive / version)
        except OSError:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise

    def _switch(self, lineage: str, version: str | None) -> str | None:
        link = self._link(lineage)
        with self._locked(lineage):
            durable.make_folder(link.parent, 0o755, self._owner)
            before = _current(link)
            if version == before:
                return before
            if version is None:
                link.unlink()
            else:
                self._point(link, lineage, version)
            durable.sync(link.parent)
            self._prune(lineage, {version, before})
        return before

    def _point(self, link: Path, lineage: str, version: str) -> None:
        if VERSION.fullmatch(version) is None or not (self._archive(lineage) / version).is_dir():
            raise InstallError(
                f"{self._archive(lineage)} does not have version {version!r}",
                remedy="Run 'wellkeeper renew' again to write it.",
            )
        unfinished = link.with_name(f".tmp-{link.name}")
        unfinished.unlink(missing_ok=True)
        unfinished.symlink_to(Path("..", "archive", lineage, version))
        unfinished.rename(link)  # if it fails, the next switch replaces the leftover link

    def _prune(self, lineage: str, needed: set[str | None]) -> None:
        archive = self._archive(lineage)
        versions = sorted(path.name for path in archive.iterdir() if VERSION.fullmatch(path.name))
        for version in set(versions[:-KEPT_VERSIONS]) - needed:
            try:
                shutil.rmtree(archive / version)
            except OSError as error:
                _log.warning("cannot remove the old version %s: %s", archive / version, error)

    @contextlib.contextmanager
    def _locked(self, lineage: str) -> Iterator[None]:
        durable.make_folder(self._root, 0o755, self._owner)
        if self._owner.user != -1:
            # Only root may create these in a directory of root; neither call follows a link.
            durable.make_folder(self._root / "archive", 0o755, self._owner)
            durable.make_folder(self._root / "live", 0o755, self._owner)
        with rights.of_owner(self._root, self._owner.group), durable.locked(self._root / ".lock", lineage):
            yield


def _files(lineage: str, pair: Pair) -> dict[str, bytes]:
    """Return the files that other ACME clients write too; without the key when it stays elsewhere."""
    try:
        is_pair = _is_pair(pair)
        leaf, rest = reading.split_chain(pair.chain_pem)
    except ValueError as error:
        why = f"the certificate or its key is not PEM: {error}"
        raise InstallError(f"cannot install the certificate of {lineage}", why) from error
    if not is_pair:
        raise InstallError(f"cannot install the certificate of {lineage}", "the key does not match the certificate")
    files = {"cert.pem": leaf, "chain.pem": rest, CHAIN_FILE: reading.normalise_pem(pair.chain_pem)}
    if pair.certificate_key_pem:
        return files | {KEY_FILE: reading.normalise_pem(pair.certificate_key_pem)}
    return files | {_KEYLESS_FILE: b""}


def _is_pair(pair: Pair) -> bool:
    """Return True when the key matches the certificate or stays elsewhere. Raises ValueError when not PEM."""
    return not pair.certificate_key_pem or reading.certificate_key_matches(pair.chain_pem, pair.certificate_key_pem)


def _is_usable(pair: Pair) -> bool:
    """Check the pair, and that the chain can be read. Raises ValueError."""
    reading.read_certificate(pair.chain_pem)
    return _is_pair(pair)


def _checked(lineage: str) -> str:
    if LINEAGE_NAME.fullmatch(lineage) is None:
        raise InstallError(
            f"{lineage!r:.80} is not a valid certificate name",
            remedy="Use only a-z, 0-9, '.', '_' and '-', without '..', and start with a letter, a digit or '_'.",
        )
    return lineage


def _version(archive: Path, files: Mapping[str, bytes]) -> str:
    """Return the name of the directory that holds these files, or of a new one for them.

    It starts with the certificate's not-before time, so that names sort by age and are the same for the same files.
    """
    certificate = reading.read_certificate(files[CHAIN_FILE])
    first = f"{certificate.not_before:%Y%m%dT%H%M%SZ}-{certificate.fingerprint_sha256[:8]}"
    version, number = first, 1
    while (archive / version).exists() and not _holds(archive / version, files):
        version, number = f"{first}-{number}", number + 1
    return version


def _holds(folder: Path, files: Mapping[str, bytes]) -> bool:
    try:
        return all((folder / name).read_bytes() == content for name, content in files.items())
    except FileNotFoundError:
        return False


def _current(link: Path) -> str | None:
    try:
        target = link.readlink()
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise InstallError(
            f"{link} is not a symbolic link", remedy="Move it away, then run 'wellkeeper renew' again."
        ) from error
    version = linked_version(link.name, str(target))
    if version is None:
        raise InstallError(
            f"{link} points to {target}, not to a version in the archive",
            remedy="Remove the link, then run 'wellkeeper renew' again.",
        )
    return version


def _remove_leftovers(archive: Path) -> None:
    """Remove the directories of a process that crashed while writing."""
    for path in archive.glob(".tmp-*"):
        shutil.rmtree(path)


def _read_key(path: Path) -> bytes:
    """Return the key, empty when it stays elsewhere. Raises FileNotFoundError and ValueError for a lost key."""
    if path.with_name(_KEYLESS_FILE).exists():
        return b""
    content = rights.read_file(path)
    if not content:
        raise ValueError(f"{path.name} is empty")
    return content
