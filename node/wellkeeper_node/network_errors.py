"""The cause of a failed connection in the system's own words, without the additions of aiohttp and asyncio."""

import os

import aiohttp


def words(error: Exception) -> str:
    """Return a short text without the peer's name; never empty."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    if isinstance(error, ConnectionResetError):
        return "it closed the connection"
    if not isinstance(error, OSError):
        return str(error) or type(error).__name__
    # Errors of TLS and of name resolution have numbers of their own.
    is_the_systems = bool(error.errno and error.errno > 0) and not isinstance(error, aiohttp.ClientSSLError)
    return os.strerror(error.errno or 0) if is_the_systems else str(error.strerror or error) or type(error).__name__
