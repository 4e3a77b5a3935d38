"""Read replies of others, which may be as long as they like."""

import aiohttp


async def read_body(response: aiohttp.ClientResponse, longest: int) -> bytes:
    """Return the body, and no more than one byte beyond `longest`, by which the caller sees that it is longer."""
    body = b""
    while len(body) <= longest:
        block = await response.content.read(longest + 1 - len(body))
        if not block:
            break
        body += block
    return body
