"""Words of others (a CA, above all) before they are told or written down: any JSON string, made harmless."""

from typing import Final

LONGEST: Final = 2_000


def cleaned(text: object) -> str:
    """At most 2 000 characters that can be encoded: JSON allows lone surrogates, which no file or database takes."""
    return str(text)[:LONGEST].encode(errors="replace").decode()
