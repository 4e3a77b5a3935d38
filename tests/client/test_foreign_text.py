"""Text of others on one line: printable, bounded, and in a form that can be stored."""

import json

import pytest

from tests.hostile import HARMLESS, HOSTILE
from wellkeeper_client.foreign_text import LONGEST_WORDS, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (HOSTILE, HARMLESS),
        (json.loads('"no \\ud800"'), "no"),
        (json.loads('"\\ud83d\\ude00"'), "😀"),
        ("größer 😀", "größer 😀"),
        ("a\nb\x1b[2Jc\u2028d\u202ee\x7f\u0085f\x9bg\u200bh\t \t i\n", "a b [2Jc d e f g h i"),
        ("x" * 1_000, "x" * 1_000),
        ("x" * 5_000_000, "x" * (LONGEST_WORDS - 1) + "…"),
        (None, "None"),
        ("", ""),
        ("\n" * 9_000, ""),
    ],
    ids=["hostile", "half", "emoji", "text", "controls", "long", "too long", "None", "empty", "breaks"],
)
def test_text_is_printable_on_one_line_and_bounded(text: object, shown: str) -> None:
    assert one_line(text) == shown
    assert one_line(text).encode() == shown.encode()


def test_shorter_bound_is_kept_with_the_ellipsis() -> None:
    assert one_line("x" * 11, 10) == "x" * 9 + "…"
