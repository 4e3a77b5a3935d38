"""Compile regular expressions of nginx, which are those of PCRE."""

import re
import warnings
from functools import lru_cache
from typing import Final

# PCRE's spelling, with Python's.
_SPELLINGS: Final = (
    (re.compile(r"\(\?<(?=\w)"), "(?P<"),
    (re.compile(r"(?<!\\)((?:\\\\)*)\\z"), r"\1\\Z"),
)
_CLASSES: Final = {
    "[:alnum:]": "a-zA-Z0-9",
    "[:alpha:]": "a-zA-Z",
    "[:digit:]": "0-9",
    "[:lower:]": "a-z",
    "[:upper:]": "A-Z",
    "[:space:]": r"\s",
    "[:word:]": r"\w",
    "[:xdigit:]": "0-9A-Fa-f",
}


@lru_cache(maxsize=4096)
def compiled(pattern: str, *, ignores_case: bool = False) -> re.Pattern[str] | None:
    """Return the pattern, None for one that Python does not know."""
    for pcre, python in _SPELLINGS:
        pattern = pcre.sub(python, pattern)
    for pcre_class, python in _CLASSES.items():
        pattern = pattern.replace(pcre_class, python)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return re.compile(pattern, re.IGNORECASE if ignores_case else 0)
    except re.error:
        return None
