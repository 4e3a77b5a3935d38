"""Skip what only root and the owner of a directory can check, instead of failing it."""

import os
from pathlib import Path

from wellkeeper_issuer.doctor.checks import NotCheckedError
from wellkeeper_node.doctor.of_errors import NEEDS_ROOT


def need_owner(folder: Path) -> None:
    """Raise NotCheckedError unless this process is root's or that of the directory's owner."""
    try:
        owner = folder.stat().st_uid
    except OSError:
        return  # the check of directories reports it
    if os.geteuid() not in {0, owner}:
        raise NotCheckedError(NEEDS_ROOT)
