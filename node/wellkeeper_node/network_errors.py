"""The cause of a failed connection in the system's own words, without the additions of aiohttp and asyncio."""

import os
from typing import Final

import aiohttp

from wellkeeper_client.foreign_text import one_line

_LONGEST: Final = 200


def words(error: Exception) -> str:
    """Return a short text on one line, without the peer's name; never empty."""
    return one_line(_words(error), _LONGEST) or type(error).__name__


def _words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    if isinstance(error, ConnectionResetError):
        return "it closed the connection"
    if not isinstance(error, OSError):
        return str(error)
    # Errors of TLS and of name resolution have numbers of their own.
    is_the_systems = bool(error.errno and error.errno > 0) and not isinstance(error, aiohttp.ClientSSLError)
    return os.strerror(error.errno or 0) if is_the_systems else str(error.strerror or error)
