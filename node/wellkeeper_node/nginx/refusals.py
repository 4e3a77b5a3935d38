"""Remedies for what `nginx -t` reports about the project's own snippets, and the places that it names."""

import errno
import grp
import os
import re
from typing import Final

from wellkeeper_node.advice.words import remedy_for
from wellkeeper_node.nginx.processes import Ids
from wellkeeper_node.wording import with_reload

_DENIED: Final = os.strerror(errno.EACCES)
_AS_ROOT: Final = "Run the command with sudo: this user may not use all files that nginx does."
_PLACE: Final = re.compile(r" in (/\S+:[0-9]+)")


def remedy_of(words: str) -> str:
    """Return what to do about the words of `nginx -t`."""
    if os.geteuid() != 0 and _DENIED in words:
        return _AS_ROOT
    return remedy_for(words) or "Fix what it reports."


def remedy_of_keys(words: str, ids: Ids | None) -> str:
    """Return what to do if a master with these ids refused to load; `nginx -t`, as root, may read more than it."""
    if ids is None or ids.user == 0 or _DENIED not in words:
        return "Fix it, then run 'wellkeeper renew' again."
    return setting_of_group(group_name(ids))


def setting_of_group(group: str) -> str:
    """Return what to do so that members of the group can read keys."""
    change = with_reload(f'Set certificates_group = "{group}" in the settings').removesuffix(".")
    return f"{change}, and run 'wellkeeper renew'."


def group_name(ids: Ids) -> str:
    """Return the name of the group, or its number if it has no name."""
    try:
        return grp.getgrgid(ids.group).gr_name
    except KeyError:
        return str(ids.group)


def place_of(words: str) -> str:
    """Return the first `FILE:LINE` that the words name; "" without one."""
    found = _PLACE.search(words)
    return found[1] if found else ""
