"""The form of a record in an engine: a line, then the signed message, which takes half of its bytes there.

The line has the version, the end (UNIX time, or a dash) and the form. Form `z` is a compact JWS: the bytes of its
signature, then header and payload without base64url, deflated. Form `=` is the value as it is. A reader gets the
identical bytes. A record in any other form counts as absent: it is that of a newer Wellkeeper.
"""

import base64
import binascii
import zlib
from typing import Final

from wellkeeper_client.record_state import Stored

LONGEST_LINE: Final = 80
_DEFLATED: Final = b"z"
_AS_IS: Final = b"="
_SIGNATURE_BYTES: Final = 64
# Short messages repeat little, so deflate begins with what all of them have in common. Part of the form: another
# dictionary needs another letter.
_DICTIONARY: Final = (
    b'X25519-HKDF-SHA256-AES-256-GCM","wrapped_key":"report/publication/manifest/heartbeat/node/bundle/'
    b'","typ":"wellkeeper-record-bundle+jwt"}\n{"alg":"EdDSA","kid":"'
    b'","typ":"wellkeeper-record-wrap+jwt"}\n{"aud":"wellkeeper-fleet","version":1,"key":"wrap/'
    b'","number":1,"iat":17,"exp":18,"body":{"archive_name":"20Z-","ciphertext":"","suite":"'
)


def pack(stored: Stored) -> bytes:
    end = "-" if stored.expires_at is None else repr(float(stored.expires_at))
    deflated = _deflated(stored.value)
    form, content = (_AS_IS, stored.value) if deflated is None else (_DEFLATED, deflated)
    return f"{stored.version} {end} ".encode() + form + b"\n" + content


def unpack(key: str, packed: object, longest: int) -> Stored | None:
    """Return the record, or None for anything else, which may be in an engine as well."""
    if not isinstance(packed, bytes):
        return None
    line, separator, content = packed.partition(b"\n")
    try:
        version, end, form = line.split(b" ", 3)
        value = _inflated(content, longest) if form == _DEFLATED else content
        stored = Stored(key, value, None if end == b"-" else float(end))
    except (ValueError, zlib.error):
        return None
    is_whole = separator and form in {_DEFLATED, _AS_IS} and len(value) <= longest
    return stored if is_whole and stored.version.encode() == version else None


def version_in(packed: object) -> str:
    """Return the version that the line of a value names, also if the value is not a record; "" without one."""
    return packed[:LONGEST_LINE].partition(b" ")[0].decode("ascii", "replace") if isinstance(packed, bytes) else ""


def is_over(stored: Stored, now: float) -> bool:
    return stored.expires_at is not None and stored.expires_at <= now


def _deflated(message: bytes) -> bytes | None:
    """Return the compact JWS in its short form; None for what would not be read back as the same bytes."""
    try:
        header, payload, signature = map(_decoded, message.split(b"."))
    except ValueError:
        return None
    if len(signature) != _SIGNATURE_BYTES:
        return None
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS, zdict=_DICTIONARY)
    found = signature + deflate.compress(header + b"\n" + payload) + deflate.flush()
    return found if _message(header + b"\n" + payload, signature) == message else None


def _inflated(content: bytes, longest: int) -> bytes:
    """Reverse `_deflated`, as far as a record is allowed to be long. Raises ValueError and zlib.error."""
    inflate = zlib.decompressobj(wbits=-zlib.MAX_WBITS, zdict=_DICTIONARY)
    found = inflate.decompress(content[_SIGNATURE_BYTES:], longest)
    return _message(found, content[:_SIGNATURE_BYTES])


def _message(parts: bytes, signature: bytes) -> bytes:
    header, _, payload = parts.partition(b"\n")
    return b".".join(base64.urlsafe_b64encode(one).rstrip(b"=") for one in (header, payload, signature))


def _decoded(part: bytes) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except binascii.Error as error:
        raise ValueError(str(error)) from error
