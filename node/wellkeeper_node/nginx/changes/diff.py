"""Write a unified diff that patch(1) applies byte for byte."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Final

_NO_NEWLINE: Final = "\\ No newline at end of file\n"
_CONTEXT: Final = 3


def unified(changes: Mapping[str, tuple[str, str]]) -> str:
    """Return the patch for files by their absolute paths, each with its old and its new text; "" for a new file.

    The paths have no leading slash, because patch(1) refuses absolute ones: `patch -d / -p0` applies it.
    """
    return "".join(_file(path.removeprefix("/"), old, new) for path, (old, new) in changes.items() if old != new)


def _file(path: str, old: str, new: str) -> str:
    before = path if old else "/dev/null"
    # Without a tab after the name, a name with spaces would end at the first one.
    tab = "\t" if " " in path else ""
    found = difflib.unified_diff(_lines(old), _lines(new), f"{before}{tab}", f"{path}{tab}", n=_CONTEXT)
    return "".join(_with_newlines(found))


def _with_newlines(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n{_NO_NEWLINE}"


def _lines(text: str) -> list[str]:
    """Return the lines with their ends; only line feeds end a line, as for patch(1)."""
    *whole, last = text.split("\n")
    return [f"{line}\n" for line in whole] + ([last] if last else [])
