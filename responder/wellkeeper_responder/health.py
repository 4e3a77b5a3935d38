"""Check the health of a running responder, for containers without curl."""

import aiohttp

from wellkeeper_client import wire
from wellkeeper_responder.settings import Address, UnixAddress

_SECONDS = 3.0


async def is_healthy(address: Address) -> bool:
    """Return true if /healthz at this control address answers 200."""
    connector = aiohttp.UnixConnector(str(address.path)) if isinstance(address, UnixAddress) else None
    authority = "responder" if isinstance(address, UnixAddress) else str(address)
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
        try:
            async with session.get(f"http://{authority}{wire.HEALTH_PATH}") as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
