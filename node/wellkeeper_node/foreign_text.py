"""Make words of others (a CA, above all) harmless before they are reported or written down."""

from typing import Final

LONGEST: Final = 2_000


def cleaned(text: object) -> str:
    """At most 2 000 characters that can be encoded: JSON allows lone surrogates, which no file or database takes."""
    return str(text)[:LONGEST].encode(errors="replace").decode()


def printable(text: str) -> str:
    """Replace by spaces what could move a terminal's cursor or pass for another line."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
