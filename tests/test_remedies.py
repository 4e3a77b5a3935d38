"""Checks that remedies which change the settings name the reload that a daemon needs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_python

PROJECT = Path(__file__).parent.parent
KEYS = set(re.findall(r"^\| `([a-z]+_[a-z_]+|profile)`", (PROJECT / "docs/settings.md").read_text(), re.MULTILINE))
_CHANGE = re.compile(
    rf"\b(?:[Ss]et|[Cc]orrect)\b[^.]*\b(?:{'|'.join(KEYS)})\b|\b(?:[Cc]heck|Compare|Add)\b[^.]* in the settings\."
)


def test_remedies_that_change_the_settings_name_the_reload() -> None:
    """Errors of the settings themselves are shown by the command that reads them, `reload` for one."""
    files = [path for folder in ("node", "issuer") for path in (PROJECT / folder).rglob("*.py")]
    assert [one for path in files if path.parent.name != "settings" for one in _without_reload(path)] == []


def _without_reload(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    covered = {id(inner) for call in _calls(tree) for inner in ast.walk(call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in covered:
            text = ast.unparse(node)
            if "\\n" not in text and _CHANGE.search(text):
                yield f"{path}:{node.lineno}: {text}"


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "with_reload":
            yield node
