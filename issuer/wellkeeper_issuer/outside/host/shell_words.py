"""Split a line of a crontab or of a shell script into commands and words, as sh(1) does; nothing is expanded."""

import re
from collections.abc import Iterator
from typing import Final

_WORD: Final = r"""(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s;&|()<>`'"\\])+"""
# An unpaired quote is the last alternative: the string may end on another line.
_TOKEN: Final = re.compile(
    r"(?P<comment>(?<!\S)#.*)"
    rf"|(?P<redirection>(?:(?<!\S)\d+|&)?[<>]+[&|]?\s*(?:{_WORD})?)"
    rf"|(?P<word>{_WORD})|(?P<end>[;&|()`]+)|\S"
)
_QUOTES: Final = re.compile(r"\\(.)|['\"]")
_SHELL_OPTION: Final = re.compile(r"-[a-z]*c")


def commands(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of each command, without quotes, redirections and comments; also those inside `sh -c '…'`."""
    words = list[str]()
    for token in _TOKEN.finditer(text):
        if token["word"] is not None:
            word = _QUOTES.sub(lambda found: found[1] or "", token["word"])
            if words and _SHELL_OPTION.fullmatch(words[-1]):
                yield from commands(word)
            words.append(word)
        elif token["end"] is not None:
            yield tuple(words)
            words = []
    yield tuple(words)
