"""Read the files of another client: texts, and pairs of certificate and key with the rights of the key."""

import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.takeover import Access, Found
from wellkeeper_node import acls, presence
from wellkeeper_node.certificates import reading
from wellkeeper_node.model import Pair

PathsOfPair = tuple[Path, Path]


def read_text(path: Path) -> str:
    """Return the text of a file. Raises ValueError with the reason when it is not text."""
    if not presence.is_file(path):
        raise ValueError("is not a file")
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"is not UTF-8 text: byte 0x{data[error.start]:02x} in line {line}; convert it, for example with 'iconv'"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"contains a NUL byte in line {line}")
    return text


def newest(candidates: Iterable[PathsOfPair]) -> tuple[Pair, Access] | None:
    """Return the newest pair of these chains and keys, and who may read its key; None when none is usable."""
    found = [pair for pair in map(_read_pair, candidates) if pair is not None]
    return max(found, key=lambda one: reading.read_certificate(one[0].chain_pem).not_before, default=None)


def _read_pair(paths: PathsOfPair) -> tuple[Pair, Access] | None:
    chain, key = paths
    if not presence.is_file(chain) or not presence.is_file(key):
        return None
    try:
        pair, status = Pair(key.read_bytes(), chain.read_bytes()), key.stat()
        # With an access control list, the group bits are not the rights of the group.
        mode = stat.S_IMODE(status.st_mode) & (0o707 if acls.read(key.resolve()) else 0o777)
        is_pair = reading.certificate_key_matches(pair.chain_pem, pair.certificate_key_pem)
    except (ValueError, TypeError):  # a key with a password
        return None
    return (pair, Access(status.st_uid, status.st_gid, mode)) if is_pair else None


def read_folder(folder: Path, client: str, inside: str, read: Callable[[Path], Found]) -> Found:
    """Return what `read` finds. Raises SettingsError without `inside`, and when the folder cannot be read."""
    try:
        if not presence.is_dir(folder / inside):
            raise SettingsError(
                f"{folder} is not {client}'s directory",
                f"it has no {inside}/",
                f"Name the directory that contains {inside}/.",
            )
        return read(folder)
    except OSError as error:
        raise SettingsError(
            f"cannot read {error.filename}", error.strerror or str(error), "Run the command with sudo."
        ) from error
