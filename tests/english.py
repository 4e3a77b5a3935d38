"""Find phrases that read as translated, with better ones, in comments, strings, docstrings, names and pages.

A phrase is also found where it continues on the next line of a comment or a paragraph.
"""

import ast
import io
import re
import subprocess
import tokenize
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.layers import PROJECT

_PREPOSITION: Final = "(?:as|at|by|for|from|in|into|is|not|of|on|to|with)"
_COUNTED: Final = "(?:name|certificate|lineage|line|command|call|CA|event|node|file|host)"
# Patterns, matched in any case, with what to write instead.
PHRASES: Final = {
    r"\btold\b": "reported, sent, asked, warned",
    r"\btells? (?:\w+ ){1,4}from\b": "distinguishes",
    r"\b(?:is|are|was|were) to be\b": "must be, will be",
    r"\bto be had\b": "available",
    r"\bat work with\b": "manages",
    r"\bmend(?:s|ed|ing)?\b": "fix",
    r"\bfor ever\b": "forever",
    r"\bbegin of\b": "start of",
    r"\bfor good\b(?! reason)": "permanently",
    r"(?<!there )\b(?:is|are) no (?!(?:longer|more|other|such|need|better|one|match|different)\b)[a-z]": "is not a",
    r"\bever more rarely\b": "less and less often",
    r"\ball the same\b": "anyway",
    r"\bof before\b": "previous",
    r"\bknows? of\b": "knows",
    r"(?<![\"'`])\bnobody\b(?![\"'`])": "no client, no process",
    r"\bsomebody\b": "a user, another process",
    r"\bwho(?:so)?ever\b": "any user who, a client that",
    r"\banew\b": "again",
    r"\bhanded\b": "passed, sent",
    r"\bstands\b(?! (?:for|out|by|still)\b)": "is, remains, says",
    r"\b(?:goes|went|gone|going) on\b": "continues",
    r"\bbrings? nothing\b": "does not help",
    r"\bdo(?:es)? not hold\b": "is invalid",
    r"\bsays more\b": "explains",
    r"\b(?:is|are|was|were|all) well\b": "works, is healthy, succeeded",
    r"\btill\b": "until",
    r"\bone an? (?:second|minute|hour|day|week)\b": "one per",
    rf"\b(?:one|a) (?!{_PREPOSITION} )(?:\w+ )?an? {_COUNTED}\b": "one per",
}
# Parts of identifiers, in lower case.
NAMES: Final = {
    "told": "sent, reported",
    "turn": "slot",
    "course": "run",
    "aftermath": "follow_up",
    "agenda": "planner",
    "standing": "status",
    "making": "factories",
    "desk": "session",
    "hopes": "first_retry",
    "anew": "again",
    "mend": "fix",
    "nobody": "no_client",
    "somebody": "other_user",
    "whoever": "user",
}
# A docstring starts with a verb or a noun phrase.
OPENINGS: Final = frozenset(
    "What Whatever Whether Which Who Whoever Whose Whom When Where How Why Of That".split()  # noqa: SIM905 - readable
)
_PATTERNS: Final = {re.compile(phrase, re.IGNORECASE): advice for phrase, advice in PHRASES.items()}
_PART: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
# Python 3.12 and later split an f-string into tokens between these two.
_BEGIN, _END = getattr(tokenize, "FSTRING_START", None), getattr(tokenize, "FSTRING_END", None)
# They contain the phrases.
_EXCLUDED: Final = ("tests/english.py", "tests/test_english.py")
_KINDS: Final = (".py", ".md", ".conf", ".example", ".service", ".timer", ".sh", ".toml", ".yml")
_WITHOUT_SUFFIX: Final = ("scripts/", ".ci/", "Containerfile")


def checked_files() -> list[str]:
    """Return the files in git that people read, relative to the project."""
    # git refuses the checkout of another user otherwise, such as one that is mounted into a container.
    command = ["/usr/bin/env", "git", "-c", f"safe.directory={PROJECT}", "ls-files"]
    listed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    return [
        name
        for name in listed.splitlines()
        if not name.startswith(_EXCLUDED) and (name.endswith(_KINDS) or name.startswith(_WITHOUT_SUFFIX))
    ]


def complaints(name: str, text: str) -> list[str]:
    """Return a line for each phrase, name and docstring in a file that should be reworded, in the order of the file."""
    is_python = Path(name).suffix == ".py"
    tokens = list(_tokens(text)) if is_python else []
    pieces = [*_comments(tokens), *_strings(text, tokens)] if is_python else [(1, text)]
    found = [complaint for first, piece in pieces for complaint in _phrases(first, piece)]
    if is_python:
        found += [*_openings(text), *_names(tokens)]
    return [f"{name}:{line}: {complaint}" for line, complaint in sorted(found)]


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    return tokenize.generate_tokens(io.StringIO(text).readline)


def _comments(tokens: Iterable[tokenize.TokenInfo]) -> Iterator[tuple[int, str]]:
    """Yield comments with the numbers of their first lines; consecutive comment lines are one piece."""
    lines: list[str] = []
    first = 0
    for token in tokens:
        if token.type != tokenize.COMMENT:
            continue
        if lines and token.start[0] != first + len(lines):
            yield first, "\n".join(lines)
            lines = []
        first = token.start[0] - len(lines)
        lines.append(token.string)
    if lines:
        yield first, "\n".join(lines)


def _strings(text: str, tokens: Iterable[tokenize.TokenInfo]) -> Iterator[tuple[int, str]]:
    """Yield strings with the numbers of their first lines."""
    begun: list[tuple[int, int]] = []  # the starts of f-strings that have not ended, the outermost first
    for token in tokens:
        if token.type == _BEGIN:
            begun.append(token.start)
        elif token.type == _END:
            start = begun.pop()
            if not begun:
                yield start[0], _between(text, start, token.end)
        elif token.type == tokenize.STRING and not begun:
            yield token.start[0], token.string


def _between(text: str, start: tuple[int, int], end: tuple[int, int]) -> str:
    """Return the source between two places, each line and column."""
    lines = text.split("\n")[start[0] - 1 : end[0]]
    lines[-1] = lines[-1][: end[1]]
    lines[0] = lines[0][start[1] :]
    return "\n".join(lines)


def _phrases(first: int, piece: str) -> Iterator[tuple[int, str]]:
    """Yield line and complaint for each phrase; line ends, indentation and `#` count as one space."""
    lines = [line.strip().lstrip("#").strip() for line in piece.split("\n")]
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    prose = " ".join(lines)
    for pattern, advice in _PATTERNS.items():
        for match in pattern.finditer(prose):
            yield first + bisect_right(starts, match.start()) - 1, f"{match.group()!r}: write {advice}"


def _openings(text: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            word = (ast.get_docstring(node) or "-").split()[0]
            if word in OPENINGS:
                yield node.body[0].lineno, f"a docstring starts with {word!r}: start with a verb or a noun phrase"


def _names(tokens: Iterable[tokenize.TokenInfo]) -> Iterator[tuple[int, str]]:
    """Yield each name once, where it first occurs."""
    seen = set()
    for token in tokens:
        if token.type == tokenize.NAME and token.string not in seen:
            seen.add(token.string)
            for part in {part.lower() for part in _PART.findall(token.string)} & NAMES.keys():
                yield token.start[0], f"the name {token.string!r} contains {part!r}: write {NAMES[part]}"
