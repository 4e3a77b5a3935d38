"""Drop-ins on disk: one file a certificate in `issuer.d`, written and removed whole, never edited.

A reader finds the whole file or none.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_node import durable

# Of a DNS name with its ending a file name may have too much: 255 bytes is what file systems take.
_LONGEST_STEM: Final = 240


def drop_in_path(folder: Path, name: str) -> Path:
    return folder / f"{name[:_LONGEST_STEM]}.toml"


def write_drop_in(path: Path, text: str) -> None:
    """Durably; raises SettingsError, also when the file is there already: it may hold something else."""
    with _translated(path):
        durable.make_folder(path.parent, 0o755, durable.Owner())
        try:
            durable.create_whole(path, text.encode(), 0o644)
        except FileExistsError:
            raise SettingsError(
                f"{path} is there already and is not replaced; look at it, or give another --name"
            ) from None


def remove_drop_in(path: Path) -> None:
    """Durably; raises SettingsError."""
    with _translated(path):
        path.unlink()
        durable.sync(path.parent)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"cannot change {error.filename or path}: {error.strerror}; run as root, or as the owner of {path.parent}"
        ) from error
