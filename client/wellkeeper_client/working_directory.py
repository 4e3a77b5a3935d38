"""Recognize that the working directory was deleted, in which relative paths mean nothing."""

import os
from typing import Final

WHAT: Final = "cannot use a relative path"
WHY: Final = "the working directory was deleted"
REMEDY: Final = "Change to another directory, then run the command again."
MESSAGE: Final = f"{WHAT}: {WHY}. {REMEDY}"


def is_deleted() -> bool:
    """Return whether this process has no working directory any more."""
    try:
        os.getcwd()  # noqa: PTH109 - Path.cwd() is the same call
    except FileNotFoundError:
        return True
    return False
