"""Make text of others (a CA, a responder, nginx, a hook, DNS) harmless to report, log, send or store."""

from typing import Final

# Let's Encrypt's longest details, with links, have about 600 characters.
LONGEST_WORDS: Final = 1_000
# Of a sentence that quotes several of them.
LONGEST_SENTENCE: Final = 2_000


def one_line(text: object, longest: int = LONGEST_WORDS) -> str:
    """Return printable text without line breaks, at most `longest` characters; an ellipsis replaces the rest.

    Nothing in it can start another line, move a terminal's cursor or reverse the direction of writing, and it can be
    encoded: JSON allows lone surrogates, files and databases do not.
    """
    begin = str(text)[: 4 * longest]
    if not begin.isprintable():
        begin = "".join(letter if letter.isprintable() else " " for letter in begin)
    shown = " ".join(begin.split())
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def without_link(error: Exception) -> str:
    """Return the text of an error of cryptography, without the page that it recommends to programmers."""
    return str(error).partition(". See https://")[0]
