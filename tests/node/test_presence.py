"""A failure is never taken for an absence, whatever the version of Python."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.layers import PROJECT
from wellkeeper_node import presence

QUESTIONS = [presence.exists, presence.is_dir, presence.is_file, presence.is_symlink]
# An answer of these decides about keys, certificates or the state.
PLACES = [
    "node/wellkeeper_node/certificates",
    "node/wellkeeper_node/durable.py",
    "issuer/wellkeeper_issuer/outside/keys",
    "issuer/wellkeeper_issuer/outside/state/connections.py",
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_absent_path_is_reported_absent(tmp_path: Path, question: Callable[[Path], bool]) -> None:
    (tmp_path / "file").touch()
    assert not question(tmp_path / "missing")
    assert not question(tmp_path / "file" / "below")


@pytest.mark.parametrize("question", QUESTIONS)
def test_path_that_cannot_be_looked_at_is_an_error(tmp_path: Path, question: Callable[[Path], bool]) -> None:
    with pytest.raises(OSError, match="File name too long"):
        question(tmp_path / ("x" * 300))


def test_kinds_are_distinguished(tmp_path: Path) -> None:
    file, link, dangling = tmp_path / "file", tmp_path / "link", tmp_path / "dangling"
    file.touch()
    link.symlink_to(tmp_path)
    dangling.symlink_to("missing")
    answers = {path.name: [question(path) for question in QUESTIONS] for path in (tmp_path, file, link, dangling)}
    assert answers == {
        tmp_path.name: [True, True, False, False],
        "file": [True, False, True, False],
        "link": [True, True, False, True],
        "dangling": [False, False, False, True],
    }


@pytest.mark.parametrize("place", PLACES)
def test_questions_that_decide_are_asked_here(place: str) -> None:
    root = PROJECT / place
    found = [
        f"{path.relative_to(PROJECT)}: {question}"
        for path in ([root] if root.is_file() else root.rglob("*.py"))
        for question in re.findall(r"\.(?:exists|is_dir|is_file|is_symlink)\(\)", path.read_text())
    ]
    assert found == []
