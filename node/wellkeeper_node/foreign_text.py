"""Make foreign text (of a CA, above all) harmless before it is reported or stored."""

from typing import Final

LONGEST: Final = 2_000


def cleaned(text: object) -> str:
    """Return at most 2 000 characters that can be encoded: JSON allows lone surrogates, files and databases do not."""
    return str(text)[:LONGEST].encode(errors="replace").decode()


def printable(text: str) -> str:
    """Replace by spaces the characters that could move a terminal's cursor or start another line."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
