"""Internationalised names: written in unicode by people, kept as A-labels (RFC 5890) by everything else.

Unicode is mapped as browsers do (UTS #46, non-transitional) and must be valid by IDNA 2008. What is an A-label already
is only decoded, as CAs do: names are registered that IDNA 2008 does not allow. Which scripts may meet is the CA's rule.
"""

import unicodedata
from typing import Final

import idna

_PREFIX: Final = "xn--"


def to_ascii(name: str) -> str:
    """The name with A-labels, in lower case. Raises ValueError with the reason."""
    if name.isascii():
        lower = name.lower()
        for label in lower.split("."):
            _decode(label)
        return lower
    try:
        return idna.encode(name, uts46=True).decode()
    except idna.IDNAError as error:
        raise ValueError(f"{name!r} is no valid internationalised name: {error}") from None


def to_unicode(name: str) -> str:
    """For people to read; what cannot be decoded stays as it is."""
    if _PREFIX not in name:
        return name
    try:
        return ".".join(map(_decode, name.split(".")))
    except ValueError:
        return name


def describe(name: str) -> str:
    """`xn--mnchen-3ya.example (münchen.example)`; a plain name as it is."""
    read = to_unicode(name)
    return name if read == name else f"{name} ({read})"


def _decode(label: str) -> str:
    """A label as it is read. Raises ValueError for an A-label that stands for nothing."""
    if not label.startswith(_PREFIX):
        return label
    try:
        decoded = label.removeprefix(_PREFIX).encode().decode("punycode")
    except UnicodeError:
        decoded = ""
    # What decodes to ASCII, or to what no encoder would have made of it, is no A-label (RFC 5891 section 5.4).
    is_text = not decoded.isascii() and decoded.isprintable() and unicodedata.is_normalized("NFC", decoded)
    if not is_text or decoded.encode("punycode").decode() != label.removeprefix(_PREFIX):
        raise ValueError(f"{label!r} decodes to no name (RFC 3492); write the name in unicode")
    return decoded
