"""Read replies of unlimited length safely."""

import aiohttp


async def read_body(response: aiohttp.ClientResponse, longest: int) -> bytes:
    """Return the same as `collect_body`."""
    return bytes(await collect_body(response, longest))


async def collect_body(response: aiohttp.ClientResponse, longest: int) -> bytearray:
    """Return the body, cut one byte after `longest`: the extra byte shows the caller that it is longer."""
    body = bytearray()
    while len(body) <= longest:
        block = await response.content.read(longest + 1 - len(body))
        if not block:
            break
        body += block
    return body
