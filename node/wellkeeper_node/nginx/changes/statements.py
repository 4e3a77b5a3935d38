"""Scan the text of an nginx configuration file into statements with their positions.

The parser of `configuration.py` gives lines only; a patch needs the exact characters. The rules are those of
ngx_conf_read_token (core/ngx_conf_file.c).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# Space and comments, then a quoted word, another word, or one of the characters that end a statement.
_SKIPPED: Final = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_WORD: Final = re.compile(
    r""""((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|((?:\\.|\$\{|[^ \t\r\n;{\\])(?:\\.|\$\{|[^ \t\r\n;{\\])*)""", re.DOTALL
)
_ENDS: Final = ";{}"
_LUA: Final = "_by_lua_block"
_BRACE: Final = re.compile(r"[{}]")


@dataclass(frozen=True, slots=True)
class Statement:
    """One directive: `text[start:end]` is all of it, with its semicolon or its braces.

    `opened` is the position after its opening brace; `block` is None without braces.
    """

    name: str
    arguments: tuple[str, ...]
    start: int
    end: int
    opened: int = 0
    block: tuple["Statement", ...] | None = None

    def walk(self) -> Iterator["Statement"]:
        """Yield the statement and all those inside it, in order."""
        yield self
        for inner in self.block or ():
            yield from inner.walk()


def scan(text: str) -> tuple[Statement, ...]:
    """Return the statements of a file. Raises ValueError with the line of what nginx would not accept."""
    scanner = _Scanner(text)
    found = scanner.block(is_main=True)
    return tuple(found)


def line_of(text: str, position: int) -> int:
    """Return the number of the line; the first is 1."""
    return text.count("\n", 0, position) + 1


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def block(self, *, is_main: bool) -> list[Statement]:
        """Return the statements up to the closing brace, which is consumed, or to the end of the file."""
        found = list[Statement]()
        while True:
            self._skip()
            following = self._text[self._at : self._at + 1]
            if following == "" and is_main:
                return found
            if following == "}" and not is_main:
                self._at += 1
                return found
            if following in _ENDS:
                raise self._error(f"unexpected {following!r}" if following else "a closing brace is missing")
            found.append(self._statement())

    def _statement(self) -> Statement:
        start, words = self._at, list[str]()
        while True:
            self._skip()
            following = self._text[self._at : self._at + 1]
            if following and following in ";{":
                break
            words.append(self._word())
        self._at += 1
        opened = self._at
        if following == ";":
            return Statement(words[0], tuple(words[1:]), start, self._at)
        block = self._skip_lua() if words[0].endswith(_LUA) else self.block(is_main=False)
        return Statement(words[0], tuple(words[1:]), start, self._at, opened, tuple(block))

    def _word(self) -> str:
        found = _WORD.match(self._text, self._at)
        if found is None:
            raise self._error("a semicolon is missing")
        self._at = found.end()
        return next(group for group in found.groups() if group is not None)

    def _skip(self) -> None:
        found = _SKIPPED.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _skip_lua(self) -> list[Statement]:
        """Skip a block of Lua, whose braces are balanced."""
        depth = 1
        while depth:
            found = _BRACE.search(self._text, self._at)
            if found is None:
                raise self._error("a closing brace is missing")
            self._at = found.end()
            depth += 1 if found.group() == "{" else -1
        return []

    def _error(self, words: str) -> ValueError:
        return ValueError(f"line {line_of(self._text, self._at)}: {words}")
