"""Errors in three parts: what failed, why, and what to do."""

import pytest

from tests.hostile import HARMLESS, HOSTILE, assert_harmless
from wellkeeper_node.errors import InstallError, WellkeeperError


@pytest.mark.parametrize(
    ("error", "lines", "text"),
    [
        (InstallError("cannot write x"), ("cannot write x",), "cannot write x"),
        (
            InstallError("cannot write x", "disk full", "Free some space."),
            ("cannot write x", "disk full", "Free some space."),
            "cannot write x: disk full. Free some space.",
        ),
        (
            InstallError("cannot write x", remedy="Free some space."),
            ("cannot write x", "Free some space."),
            "cannot write x. Free some space.",
        ),
        (
            InstallError("cannot write x", "The disk is full.", "Free some space."),
            ("cannot write x", "The disk is full.", "Free some space."),
            "cannot write x: The disk is full. Free some space.",
        ),
    ],
    ids=["what", "all three", "without a cause", "cause with a full stop"],
)
def test_error_prints_as_three_lines_or_as_one_for_logs(
    error: WellkeeperError, lines: tuple[str, ...], text: str
) -> None:
    assert error.lines == lines
    assert str(error) == text


def test_text_that_quotes_many_foreign_words_is_one_bounded_line() -> None:
    error = WellkeeperError(HOSTILE, f"{HOSTILE}; " * 9_000, HOSTILE)
    assert_harmless(str(error))
    assert str(error).isprintable()
    assert [len(line) for line in error.lines] == [len(HARMLESS), 2_000, len(HARMLESS)]
