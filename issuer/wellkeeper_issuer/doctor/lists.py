"""Shorten lists of others for a cause of one line: a DNS reply may have thousands of records."""

from collections.abc import Iterable
from typing import Final

_SHOWN: Final = 4


def shortened(items: Iterable[str], separator: str = ", ") -> str:
    """Return the first few items, and the number of the others."""
    found = list(items)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return separator.join(found[:_SHOWN]) + more
