"""Text from other systems: any JSON string can be stored and printed afterwards."""

import json

import pytest

from wellkeeper_node.foreign_text import LONGEST, cleaned, printable


@pytest.mark.parametrize(
    ("reported", "kept"),
    [
        (json.loads('"no \\ud800"'), "no ?"),
        (json.loads('"\\ud83d\\ude00"'), "😀"),
        ("x" * 5_000, "x" * LONGEST),
        (None, "None"),
        ("größer", "größer"),
    ],
)
def test_foreign_text_can_be_encoded_and_is_bounded(reported: object, kept: str) -> None:
    assert cleaned(reported) == kept
    assert cleaned(reported).encode()


@pytest.mark.parametrize(
    ("reported", "shown"),
    [("größer 😀", "größer 😀"), ("a\nb\x1b[2Jc\u2028d\u202ee\x7f", "a b [2Jc d e "), ("\ud800", " ")],
    ids=["text", "control characters", "half a character"],
)
def test_unprintable_characters_become_spaces(reported: str, shown: str) -> None:
    assert printable(reported) == shown
