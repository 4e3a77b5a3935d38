"""Checks that each message on the troubleshooting page is one of the product's, and that a test expects it."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_python

PROJECT = Path(__file__).parent.parent
PAGE = (PROJECT / "docs/troubleshooting.md").read_text()
_ENTRY = re.compile(
    r"^### (?P<message>.+)\n\n<!-- test: (?P<path>\S+)::(?P<test>\w+) -->\n\n(?P<cause>.+(?:\n.+)*)\n\n"
    r"```sh\n(?P<command>.+)\n```$",
    re.MULTILINE,
)
_PLACEHOLDER = re.compile(r"\*[^*]+\*")
# This many words in a row distinguish one message from another.
_WORDS = 3


def entries() -> list[re.Match[str]]:
    return list(_ENTRY.finditer(PAGE))


def test_every_entry_has_message_test_cause_and_one_command() -> None:
    headings = re.findall(r"^### (.+)$", PAGE, re.MULTILINE)
    assert headings == [entry["message"] for entry in entries()]
    assert len(headings) == len(set(headings)) >= 25


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry["message"])
def test_message_occurs_in_the_product(entry: re.Match[str]) -> None:
    fragments = [re.escape(one) for one in _PLACEHOLDER.split(entry["message"])]
    pattern = re.compile(".*".join(fragments), re.DOTALL)
    assert any(pattern.search(text) for text in _texts_of_the_product())


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry["message"])
def test_message_is_expected_by_the_test_that_the_entry_names(entry: re.Match[str]) -> None:
    expected = "\n".join(_texts_of_the_test(PROJECT / entry["path"], entry["test"]))
    assert any(words in expected for words in _word_runs(entry["message"]))


def _word_runs(message: str) -> Iterator[str]:
    """Yield runs of words between placeholders, else across them; of a short message, its only part."""
    parts = [part.strip(" ,;:()") for part in _PLACEHOLDER.split(message)]
    known = [part for part in parts if part]
    long = [part for part in known if part.count(" ") >= _WORDS - 1]
    if len(known) == 1 and not long:
        yield known[0]
    for part in long or [message.replace("*", "")]:
        words = part.split(" ")
        yield from (" ".join(words[i : i + _WORDS]) for i in range(len(words) - _WORDS + 1))


@cache
def _texts_of_the_product() -> list[str]:
    files = [path for folder in ("issuer", "node") for path in (PROJECT / folder).rglob("*.py")]
    return [text for path in files for text in _strings(ast.parse(path.read_text()))]


def _texts_of_the_test(path: Path, name: str) -> Iterator[str]:
    """Yield the strings of the test, and of what it uses in its file: tables, constants, helpers."""
    module = ast.parse(path.read_text())
    (test,) = [node for node in module.body if _names(node) == {name}]
    used = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
    for node in module.body:
        if node is test or _names(node) & used:
            # Many expectations are regular expressions.
            yield from (text.replace("\\", "") for text in _strings(node))


def _names(node: ast.stmt) -> set[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
    return set()


def _strings(tree: ast.AST) -> Iterator[str]:
    """Yield all strings; values in f-strings become one character that no message has."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(one.value) if isinstance(one, ast.Constant) else "\0" for one in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
