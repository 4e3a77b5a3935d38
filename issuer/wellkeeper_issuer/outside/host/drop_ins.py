"""Create, replace and remove drop-ins: one file per certificate in `issuer.d`, never edited.

A reader finds the whole file or none.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_node import durable

# File systems limit names to 255 bytes, which a long DNS name with `.toml` exceeds.
_LONGEST_STEM: Final = 240


def drop_in_path(folder: Path, name: str) -> Path:
    """Return the path of the drop-in for the certificate."""
    return folder / f"{name[:_LONGEST_STEM]}.toml"


def write_drop_in(path: Path, text: str) -> None:
    """Create the file, durably. Raises SettingsError, also when the file exists."""
    with _translated(path):
        durable.make_folder(path.parent, 0o755, durable.Owner())
        try:
            durable.create_whole(path, text.encode(), 0o644)
        except FileExistsError:
            raise SettingsError(
                f"cannot create {path}", "the file already exists", "Remove it, or choose another --name."
            ) from None


def replace_drop_in(path: Path, text: str) -> None:
    """Create or replace the file, durably. Raises SettingsError."""
    with _translated(path):
        durable.make_folder(path.parent, 0o755, durable.Owner())
        durable.replace_whole(path, text.encode(), 0o644)


def remove_drop_in(path: Path) -> None:
    """Remove the file, durably. Raises SettingsError."""
    with _translated(path):
        path.unlink()
        durable.sync(path.parent)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"cannot change {error.filename or path}",
            error.strerror or str(error),
            f"Run the command with sudo, or as the owner of {path.parent}.",
        ) from error
