"""Convert internationalized names between Unicode, for people, and A-labels (RFC 5890), for everything else.

Unicode is mapped as in browsers (UTS #46, non-transitional) and must be valid under IDNA 2008. A-labels are only
decoded, as CAs do, because some registered names are not valid under IDNA 2008. CAs decide which scripts may be mixed.
"""

import unicodedata
from typing import Final

import idna

_PREFIX: Final = "xn--"


def to_ascii(name: str) -> str:
    """Return the name with A-labels, in lower case. Raises ValueError with the reason."""
    if name.isascii():
        lower = name.lower()
        for label in lower.split("."):
            _decode(label)
        return lower
    try:
        return idna.encode(name, uts46=True).decode()
    except idna.IDNAError as error:
        raise ValueError(f"{name!r} is not a valid internationalized name: {error}") from None


def to_unicode(name: str) -> str:
    """Return the name in Unicode; unchanged if it cannot be decoded."""
    if _PREFIX not in name:
        return name
    try:
        return ".".join(map(_decode, name.split(".")))
    except ValueError:
        return name


def describe(name: str) -> str:
    """Return `xn--mnchen-3ya.example (münchen.example)`; a plain name unchanged."""
    readable = to_unicode(name)
    return name if readable == name else f"{name} ({readable})"


def _decode(label: str) -> str:
    """Return the label in Unicode. Raises ValueError for an A-label that is not valid."""
    if not label.startswith(_PREFIX):
        return label
    try:
        decoded = label.removeprefix(_PREFIX).encode().decode("punycode")
    except UnicodeError:
        decoded = ""
    # An A-label decodes to non-ASCII text that encodes to the same label again (RFC 5891 section 5.4).
    is_text = not decoded.isascii() and decoded.isprintable() and unicodedata.is_normalized("NFC", decoded)
    if not is_text or decoded.encode("punycode").decode() != label.removeprefix(_PREFIX):
        raise ValueError(f"{label!r} is not a valid A-label (RFC 3492); write the name in Unicode")
    return decoded
