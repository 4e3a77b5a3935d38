"""Validate a challenge as Let's Encrypt does, by the rules of Boulder's va/http.go and va/va.go, but stricter.

Exactly 200, fewer than 128 bytes, HTTP/1.1; at most ten of 301, 302, 307 and 308, to ports 80 and 443; IPv6 first, and
IPv4 only when dialling failed on the first request. Boulder ignores trailing white space; we do not.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin, urlsplit

import aiohttp
from yarl import URL

_USER_AGENT: Final = "Mozilla/5.0 (compatible; strict validation of a test stand)"
_MAX_REDIRECTS: Final = 10
_MAX_BODY: Final = 128
_MAX_PATH: Final = 2000
_FOLLOWED: Final = frozenset({301, 302, 307, 308})
_PORTS: Final = {"http": 80, "https": 443}


class RefusedError(Exception):
    """The CA does not accept the answer; the text is the detail of a problem document."""


@dataclass(frozen=True, slots=True)
class Internet:
    """The network for the CA: addresses by name, IPv6 first, and the real ports for 80 and 443."""

    addresses: Mapping[str, Sequence[str]]
    ports: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Place:
    """A place from which the CA fetches, after `delay_seconds`; over IPv6 always from `::1`."""

    address: str
    delay_seconds: float = 0.0


@dataclass
class Fetch:
    """One fetch from one place; `seen` are the requested URLs, `dialled` the addresses."""

    internet: Internet
    place: Place
    seen: list[str] = field(default_factory=list)
    dialled: list[str] = field(default_factory=list)

    async def run(self, name: str, token: str, key_authorization: str) -> None:
        """Raises RefusedError."""
        await asyncio.sleep(self.place.delay_seconds)
        url = f"http://{name}/.well-known/acme-challenge/{token}"
        while True:
            self.seen.append(url)
            status, location, body = await self._ask(url)
            if status not in _FOLLOWED:
                break
            url = self._follow(url, location)
        if status != 200:
            raise RefusedError(f"Invalid response from {url}: {status}")
        if len(body) >= _MAX_BODY:
            raise RefusedError(f"Invalid response from {url}: {_MAX_BODY} bytes or more")
        if body != key_authorization.encode():
            raise RefusedError(f"The key authorization file from the server did not match: {body!r}")

    async def _ask(self, url: str) -> tuple[int, str | None, bytes]:
        addresses = self.internet.addresses[urlsplit(url).hostname or ""]
        # Only the first of each family, and the second family only where nothing was sent yet.
        tried = [addresses[0], *(one for one in addresses[1:] if ":" not in one and ":" in addresses[0])][:2]
        if len(self.seen) > 1:
            tried = tried[:1]
        for number, address in enumerate(tried):
            self.dialled.append(address)
            try:
                return await self._get(url, address)
            except aiohttp.ClientConnectorError as error:
                if number == len(tried) - 1:
                    raise RefusedError(f"{address}: Fetching {url}: {error.os_error}") from error
            except (aiohttp.ClientError, TimeoutError) as error:
                raise RefusedError(f"{address}: Fetching {url}: {error!r}") from error
        raise RefusedError(f"{url}: no address")

    async def _get(self, url: str, address: str) -> tuple[int, str | None, bytes]:
        parts = urlsplit(url)
        host = f"[{address}]" if ":" in address else address
        port = self.internet.ports[_PORTS[parts.scheme]]
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        local = None if ":" in address else (self.place.address, 0)
        connector = aiohttp.TCPConnector(ssl=context, local_addr=local, force_close=True)
        timeout = aiohttp.ClientTimeout(total=20, connect=10)
        asked = URL(f"{parts.scheme}://{host}:{port}{parts.path}?{parts.query}".rstrip("?"), encoded=True)
        headers = {"Host": parts.netloc, "User-Agent": _USER_AGENT, "Accept": "*/*", "Connection": "close"}
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.get(asked, headers=headers, allow_redirects=False, server_hostname=parts.hostname) as reply,
        ):
            if reply.version != aiohttp.HttpVersion11:
                raise RefusedError(f"{address}: Fetching {url}: not HTTP/1.1")
            return reply.status, reply.headers.get("Location"), await _at_most(reply.content, _MAX_BODY)

    def _follow(self, url: str, location: str | None) -> str:
        target = urljoin(url, location or "")
        parts = urlsplit(target)
        if parts.scheme not in _PORTS:
            raise RefusedError(f"Invalid protocol scheme in redirect target: {target}")
        if (parts.port or _PORTS[parts.scheme]) != _PORTS[parts.scheme]:
            raise RefusedError(f"Invalid port in redirect target; only ports 80 and 443 are supported: {target}")
        if len(parts.path) > _MAX_PATH:
            raise RefusedError("Redirect target too long")
        if target in self.seen:
            raise RefusedError(f"Redirect loop detected: {target}")
        if len(self.seen) > _MAX_REDIRECTS:
            raise RefusedError("Too many redirects")
        return target


async def _at_most(stream: aiohttp.StreamReader, size: int) -> bytes:
    body = b""
    while len(body) < size and (block := await stream.read(size - len(body))):
        body += block
    return body


async def validate(internet: Internet, places: Sequence[Place], name: str, token: str, key_authorization: str) -> None:
    """Validate from the first place, then from all others at once; one of two to five may fail, or two of more.

    Raises RefusedError, after all have finished.
    """
    primary, *others = places
    await Fetch(internet, primary).run(name, token, key_authorization)
    looks = [Fetch(internet, place).run(name, token, key_authorization) for place in others]
    results = await asyncio.gather(*looks, return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    allowed = 0 if len(others) < 2 else 1 if len(others) < 6 else 2
    if len(failures) > allowed:
        raise RefusedError(f"During secondary validation: {failures[0]}")
