"""The serial number of the certificate that clients get, for tests with other machines and containers."""

import asyncio
import ssl
from typing import Final

from stand.nginx import Address

# A packet that was lost because a container ended is sent again after 1, 2, 4 … 32 seconds.
_CONNECT_SECONDS: Final = 10.0
_MORE_HANDSHAKES: Final = 9


async def served_serial(address: Address, root: bytes, name: str) -> str | None:
    """Return the serial number of the certificate that nginx serves; None if it is late, or not of the CA of this root.

    For 100 ms after a reload, nginx's former workers accept connections, too: None while handshakes differ.
    """
    context = ssl.create_default_context(cadata=root.decode())
    first = await _serial(address, context, name)
    for _ in range(_MORE_HANDSHAKES):
        if first is None or await _serial(address, context, name) != first:
            return None
    return first


async def _serial(address: Address, context: ssl.SSLContext, name: str) -> str | None:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(*address, ssl=context, server_hostname=name)
    except OSError:
        return None
    found = writer.get_extra_info("ssl_object").getpeercert()
    writer.transport.abort()
    return str(found["serialNumber"])
