"""Words that try to pass for ours: another line, and control sequences for terminals."""

from typing import Final

HOSTILE: Final = "a\nweb: served, valid until 2099-01-01\r\x1b[2J"
HARMLESS: Final = "a web: served, valid until 2099-01-01 [2J"


def assert_harmless(text: str) -> None:
    """The words are there, as part of a line of ours."""
    assert HARMLESS in text, text
    assert_imitates_nothing(text)


def assert_imitates_nothing(text: str) -> None:
    """No line starts with the words, and nothing controls a terminal."""
    assert not any(line.startswith("web: served, valid until 2099") for line in text.splitlines()), text
    assert not [letter for letter in text if not letter.isprintable() and letter != "\n"], text
