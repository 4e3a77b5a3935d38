"""Asks a running responder whether it is well, for containers that have no curl."""

import aiohttp

from wellkeeper_client import wire
from wellkeeper_responder.settings import Address, UnixAddress

_SECONDS = 3.0


async def is_healthy(address: Address) -> bool:
    """Whether /healthz answers 200 on this control address."""
    connector = aiohttp.UnixConnector(str(address.path)) if isinstance(address, UnixAddress) else None
    authority = "responder" if isinstance(address, UnixAddress) else str(address)
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        try:
            async with session.get(f"http://{authority}{wire.HEALTH_PATH}") as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
