"""Take back the rights that others got to the state, the settings and the directories of nginx's agent.

At each start of a pod, Kubernetes lets the group of a volume (fsGroup) read and write all files in it. A key or
settings that others may change are refused, and so are answers of the agent that others may read.
"""

import stat
from collections.abc import Iterable, Iterator
from os import geteuid
from pathlib import Path

from wellkeeper_issuer.commands.preparing.agent import ANSWERS, QUESTIONS
from wellkeeper_issuer.settings.files import drop_in_folder


def settings(path: Path) -> Iterator[Path]:
    """Prevent others from changing the settings; yield what was corrected. Raises OSError."""
    drop_ins = drop_in_folder(path)
    return _without(0o022, [path, drop_ins, *drop_ins.glob("*.toml")])


def state(state_dir: Path) -> Iterator[Path]:
    """Keep the state to this user; yield what was corrected. Raises OSError."""
    return _without(0o077, [state_dir, *state_dir.rglob("*")])


def agent(folder: Path) -> Iterator[Path]:
    """Keep the answers of nginx's agent to this user, and its questions from others; yield what was corrected."""
    yield from _without(0o022, [folder / QUESTIONS])
    yield from _without(0o077, [folder / ANSWERS])


def _without(bits: int, paths: Iterable[Path]) -> Iterator[Path]:
    """Take these bits from those of this user, and yield them."""
    for path in paths:
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue  # the daemon may remove files meanwhile
        if found.st_uid == geteuid() and found.st_mode & bits and not stat.S_ISLNK(found.st_mode):
            path.chmod(stat.S_IMODE(found.st_mode) & ~bits)
            yield path
