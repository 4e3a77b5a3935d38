"""Edit the text of a configuration file, with the indentation and the line ends that it has."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from wellkeeper_node.nginx.changes.statements import Statement

_REST: Final = re.compile(r"[ \t\r]*(#[^\n]*)?(\n|\Z)")
_BLANK: Final = re.compile(r"[ \t\r]*\n")
_CERTBOT: Final = re.compile(r"[ \t]*# managed by Certbot")
_INDENT: Final = "    "


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace `text[start:end]`; equal positions insert."""

    start: int
    end: int
    new: str


def apply(text: str, edits: Iterable[Edit]) -> str:
    """Return the edited text; at the same position, insertions come first, in their order."""
    parts, at = list[str](), 0
    for edit in sorted(edits, key=lambda one: (one.start, one.end > one.start)):
        parts += [text[at : edit.start], edit.new]
        at = max(at, edit.end)
    return "".join([*parts, text[at:]])


class Source:
    """The text of a file, and how it is written."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._newline = "\r\n" if "\r\n" in text else "\n"

    def lines_after(self, statement: Statement, lines: Sequence[str]) -> Edit:
        """Insert lines after the statement, or behind it when other statements share its line."""
        rest = _REST.match(self.text, statement.end)
        if rest is None or not self._starts_line(statement):
            return Edit(statement.end, statement.end, "".join(f" {line}" for line in lines))
        missing = "" if rest.group(2) else self._newline
        return Edit(rest.end(), rest.end(), missing + self._joined(lines, self.indent(statement)))

    def lines_before(self, statement: Statement, lines: Sequence[str]) -> Edit:
        """Insert lines before the statement."""
        if not self._starts_line(statement):
            return Edit(statement.start, statement.start, "".join(f"{line} " for line in lines))
        start = self._line_start(statement.start)
        return Edit(start, start, self._joined(lines, self.indent(statement)))

    def lines_inside(self, block: Statement, lines: Sequence[str]) -> Edit:
        """Insert lines at the beginning of the block."""
        first = next(iter(block.block or ()), None)
        if first is not None:
            return self.lines_before(first, lines)
        return Edit(block.opened, block.opened, "".join(f" {line}" for line in lines) + " ")

    def replaced(self, statement: Statement, new: str) -> Edit:
        """Replace the statement, and certbot's remark that it manages it."""
        remark = _CERTBOT.match(self.text, statement.end)
        return Edit(statement.start, remark.end() if remark else statement.end, new)

    def removed(self, statement: Statement) -> Edit:
        """Remove the statement with its remark; its whole line and blank lines after it if nothing else is there."""
        rest = _REST.match(self.text, statement.end)
        if rest is None or not self._starts_line(statement):
            return Edit(statement.start, statement.end, "")
        end = rest.end()
        while blank := _BLANK.match(self.text, end):
            end = blank.end()
        return Edit(self._line_start(statement.start), end, "")

    def wrapped(self, header: str, statements: Sequence[Statement], unit: str) -> list[Edit]:
        """Move the statements into a new block, at the place of the last one."""
        *others, last = statements
        edits = [self.removed(one) for one in others]
        rest = _REST.match(self.text, last.end)
        if rest is None or not self._starts_line(last):
            inner = " ".join(self.text[one.start : one.end] for one in statements)
            return [*edits, Edit(last.start, last.end, f"{header} {{ {inner} }}")]
        indent = self.indent(last)
        inner = "".join(self._indented(one, unit) for one in statements)
        new = f"{indent}{header} {{{self._newline}{inner}{indent}}}{self._newline if rest.group(2) else ''}"
        return [*edits, Edit(self._line_start(last.start), rest.end(), new)]

    def indent(self, statement: Statement) -> str:
        """Return the white space before the statement."""
        line = self.text[self._line_start(statement.start) : statement.start]
        return line[: len(line) - len(line.lstrip(" \t"))]

    def unit(self, block: Statement) -> str:
        """Return how much deeper the content of the block is indented than the block."""
        for one in block.block or ():
            inner, outer = self.indent(one), self.indent(block)
            if self._starts_line(one) and inner.startswith(outer) and inner != outer:
                return inner.removeprefix(outer)
        return _INDENT

    def _joined(self, lines: Sequence[str], indent: str) -> str:
        return "".join(f"{indent}{line}{self._newline}" if line else self._newline for line in lines)

    def _indented(self, statement: Statement, unit: str) -> str:
        """Return the lines of the statement, with its remark, one unit deeper."""
        rest = _REST.match(self.text, statement.end)
        end = rest.end() if rest else statement.end
        lines = self.text[self._line_start(statement.start) : end].rstrip("\r\n").split("\n")
        return "".join(
            f"{unit}{line.rstrip(chr(13))}{self._newline}" if line.strip() else self._newline for line in lines
        )

    def _line_start(self, position: int) -> int:
        return self.text.rfind("\n", 0, position) + 1

    def _starts_line(self, statement: Statement) -> bool:
        return not self.text[self._line_start(statement.start) : statement.start].strip(" \t")
