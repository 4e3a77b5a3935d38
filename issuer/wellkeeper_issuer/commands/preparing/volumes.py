"""The directories that `prepare` fills, volumes in containers: who owns them, and what helps if they take no file."""

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from wellkeeper_issuer.commands.terminal.environment import named
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_node import durable
from wellkeeper_node.errors import LockedError, WellkeeperError

# Each option with the directory that it names.
Places = Mapping[str, Path]
# What a run as another user would find in each directory, and could not use.
_WRITTEN: Final = {"--config": "issuer.toml", "--state-dir": "accounts", "--certificates-dir": "live"}
_NOWHERE: Final = Path("/dev/null")
_LOCK: Final = ".prepare"
# Not for root's: a run as root may have made them by mistake.
_AS_OWNER: Final = "Run it as uid {} (Compose: 'user', pods: 'runAsUser'), or run"
_FULL: Final = "Free some space there, then run the command again."
_ELSEWHERE: Final = "or choose another place with {}"


def refuse_other_user(places: Places) -> None:
    """Raise SettingsError if another user has filled one of the directories: one of the two could not read it."""
    own = os.geteuid()
    for option, name in _WRITTEN.items():
        folder = places.get(option, _NOWHERE)
        found = _owner(folder / name)
        # An engine makes volumes for root.
        user = found if found is not None else _owner(folder) or own
        if user == own or (option == "--config" and user == 0):
            continue
        raise SettingsError(
            f"cannot use {folder}",
            f"it belongs to uid {user}, and this process runs as uid {own}",
            f"{_AS_OWNER.format(user) if user else 'Run'} 'chown -R {own} {folder}' as root.",
        )


@contextlib.contextmanager
def alone(state_dir: Path) -> Iterator[None]:
    """Create the directory, and keep out a second `prepare`, which waits. Raises LockedError, OSError."""
    durable.make_folder(state_dir, 0o700, durable.Owner())
    with durable.locked(state_dir / _LOCK, "prepare"):
        yield


@contextlib.contextmanager
def explained(places: Places) -> Iterator[None]:
    """Give errors of files that cannot be written a remedy that fits volumes, with the option that names the place."""
    try:
        yield
    except OSError as error:
        raise SettingsError(f"cannot write {error.filename}", str(error.strerror), _remedy(error, places)) from error
    except WellkeeperError as error:
        cause = error.__cause__
        if isinstance(error, LockedError) or not isinstance(cause, OSError):
            raise
        raise SettingsError(error.what, error.why, _remedy(cause, places)) from error


def _remedy(error: OSError, places: Places) -> str:
    path = Path(os.fsdecode(error.filename or ""))
    options = [named(option) for option, folder in places.items() if path == folder or folder in path.parents]
    elsewhere = _ELSEWHERE.format(options[0] if options else "an option")
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return _FULL
        case errno.EROFS:
            return f"Mount it read-write for this command, {elsewhere}."
        case errno.EACCES | errno.EPERM:
            return f"Give it to uid {os.geteuid()}, run the command as its owner, {elsewhere}."
        case _:
            return f"Correct that, {elsewhere}."


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except OSError:
        return None
