"""Make the handshake of a client that verifies: it needs the complete chain up to a root that it trusts."""

import asyncio
import ssl
from collections.abc import Iterable
from typing import Final

from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Identifier
from wellkeeper_node.network_errors import words
from wellkeeper_node.probes.probes import address_text, open_stream
from wellkeeper_node.probes.proxy_protocol import greeting

_Address = tuple[str, int]
_TIMEOUT_SECONDS: Final = 5.0


def trusting(bundles: Iterable[str] = (), more_pem: str = "") -> ssl.SSLContext:
    """Return the context of a client with the system's roots, those of the files, and these certificates.

    Raises OSError for a file that cannot be used.
    """
    context = ssl.create_default_context()
    # From Python 3.13 on, it is stricter than browsers, and takes an intermediate for a root.
    context.verify_flags &= ~(ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN)
    for bundle in bundles:
        context.load_verify_locations(cafile=bundle)
    if more_pem:
        context.load_verify_locations(cadata=more_pem)
    return context


async def why_distrusted(
    address: _Address,
    identifier: Identifier,
    context: ssl.SSLContext,
    *,
    greets: bool = False,
    timeout_seconds: float = _TIMEOUT_SECONDS,
) -> str:
    """Return why the client refuses the certificate that is served there, in OpenSSL's words; "" if it trusts it.

    Raises VerifyError when no handshake is possible. `greets`: nginx expects the PROXY protocol there.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            return await _verify(address, identifier, context, greets=greets)
    except TimeoutError as error:
        raise VerifyError(f"no TLS handshake at {address_text(address)} within {timeout_seconds:g} s") from error
    except OSError as error:
        raise VerifyError(f"no TLS handshake at {address_text(address)}", words(error)) from error


async def _verify(address: _Address, identifier: Identifier, context: ssl.SSLContext, *, greets: bool) -> str:
    writer = await open_stream(address)
    try:
        if greets:
            writer.write(greeting(writer.transport))
        await writer.start_tls(context, server_hostname=identifier.value)
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    finally:
        writer.transport.abort()
    return ""
