"""Ask CAs when to renew certificates (RFC 9773): plain GETs without an account or the acme library.

Each directory is read once per day. After a CA fails or sends Retry-After, no certificate asks it for a while.
"""

import asyncio
import json
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Self

import aiohttp

from wellkeeper_issuer.outside.ca.retry_after import retry_after_seconds
from wellkeeper_issuer.records import NoRenewalInfo, RenewalInfo, Window
from wellkeeper_node.bodies import read_body
from wellkeeper_node.foreign_text import LONGEST, cleaned, printable
from wellkeeper_node.network_errors import words
from wellkeeper_node.ports import Clock

# The same limits as for all requests to CAs. The total keeps a reply that trickles from occupying a slot forever.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=90, sock_connect=5, sock_read=30)
# Let's Encrypt allows 1 000 per second; a CA need not receive ten thousand requests at once.
_ASKS_AT_ONCE: Final = 8
# Real replies have 200 bytes, directories 1 500.
_MAX_BODY_BYTES: Final = 65_536
_DIRECTORY_SECONDS: Final = 86_400.0
# RFC 9773 section 4.3.2: ask again after one minute at the earliest.
_PAUSE_SECONDS: Final = 60.0
_LONGEST_PAUSE_SECONDS: Final = 3_600.0


@dataclass(slots=True)
class _Ca:
    """State of one CA.

    `context` is True for the system's roots; `read_at` is a monotonic time, None until the directory was read.
    """

    directory_url: str
    context: ssl.SSLContext | bool
    url: str | None = None
    read_at: float | None = None
    pause_reason: NoRenewalInfo | None = None
    paused_until: float = 0.0
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_ASKS_AT_ONCE))


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    retry_after_seconds: float | None
    body: bytes


class AcmeRenewalInfos:
    """Implements `ports.RenewalInfos`. Use as an async context manager.

    `bundles` maps directory URLs to the PEM file that verifies the CA's TLS certificate; None for the system's roots.
    """

    def __init__(self, bundles: Mapping[str, str | None], *, user_agent: str, clock: Clock) -> None:
        self._bundles = bundles
        # RFC 8555 section 6.1. The size of a compressed body is only known after decompression.
        self._headers = {"User-Agent": user_agent, "Accept-Language": "en", "Accept-Encoding": "identity"}
        self._clock = clock
        self._cas: dict[str, _Ca] = {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=_TIMEOUT,
            headers=self._headers,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=True,  # HTTPS_PROXY and NO_PROXY, as for all requests to CAs
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, directory_url: str, certificate_id: str) -> RenewalInfo | NoRenewalInfo | None:
        """Implement `ports.RenewalInfos.ask`."""
        try:
            ca = self._ca(directory_url)
        except OSError as error:
            return NoRenewalInfo(f"cannot use ca_bundle {self._bundles.get(directory_url)}: {error}")
        async with ca.slots:
            problem = await self._find(ca)
            if problem is not None or ca.url is None:
                return problem
            reply = await self._get(ca, f"{ca.url.rstrip('/')}/{certificate_id}")
            return reply if isinstance(reply, NoRenewalInfo) else _parse_info(reply)

    def _ca(self, directory_url: str) -> _Ca:
        if directory_url not in self._cas:
            bundle = self._bundles.get(directory_url)
            # Reading the system's roots takes 20 ms; aiohttp has already read them.
            self._cas[directory_url] = _Ca(directory_url, ssl.create_default_context(cafile=bundle) if bundle else True)
        return self._cas[directory_url]

    async def _find(self, ca: _Ca) -> NoRenewalInfo | None:
        """Set `ca.url` from the directory, if that is due; return the reason when the directory cannot be read."""
        async with ca.reading:
            now = self._clock.monotonic()
            if ca.read_at is not None and now < ca.read_at + _DIRECTORY_SECONDS:
                return None
            reply = await self._get(ca, ca.directory_url)
            if isinstance(reply, NoRenewalInfo):
                return reply
            try:
                found = _parse_object(reply).get("renewalInfo")
            except ValueError as error:
                return self._pause(ca, NoRenewalInfo(f"{ca.directory_url} is not a directory of a CA: {error}"))
            ca.url = cleaned(found) if isinstance(found, str) else None
            ca.read_at = now
            return None

    async def _get(self, ca: _Ca, url: str) -> _Reply | NoRenewalInfo:
        """Return the CA's reply with status 200, else the reason why there is none."""
        if ca.pause_reason is not None and self._clock.monotonic() < ca.paused_until:
            return ca.pause_reason
        try:
            reply = await self._fetch(ca, url)
        except TimeoutError:
            return self._pause(ca, NoRenewalInfo(f"{url} did not answer in time", is_passing=True))
        except (aiohttp.ClientError, ValueError) as error:
            # Not passing: RFC 9773 section 4.3.3 counts DNS failures and refused connections as permanent.
            return self._pause(ca, NoRenewalInfo(f"cannot reach {url}: {words(error)}"))
        if reply.status == 200:
            return reply
        reason = f"{url} answered HTTP {reply.status}{_detail(reply)}"
        refusal = NoRenewalInfo(reason, reply.status >= 500, reply.retry_after_seconds)
        if reply.status in {429, 503} or url == ca.directory_url:
            return self._pause(ca, refusal)
        return refusal

    def _pause(self, ca: _Ca, reason: NoRenewalInfo) -> NoRenewalInfo:
        """Stop asking this CA for a while: all certificates get the same reason."""
        seconds = _PAUSE_SECONDS if reason.retry_after_seconds is None else reason.retry_after_seconds
        ca.pause_reason = reason
        ca.paused_until = self._clock.monotonic() + min(seconds, _LONGEST_PAUSE_SECONDS)
        return reason

    async def _fetch(self, ca: _Ca, url: str) -> _Reply:
        async with self._session.get(url, ssl=ca.context, max_redirects=3) as response:
            body = await read_body(response, _MAX_BODY_BYTES)
            seconds = retry_after_seconds(response.headers, self._clock.now())
            return _Reply(response.status, seconds, body)


def _parse_info(reply: _Reply) -> RenewalInfo | NoRenewalInfo:
    """Parse a renewalInfo object (RFC 9773 section 4.2)."""
    try:
        body = _parse_object(reply)
        window = _parse_window(body.get("suggestedWindow"))
    except ValueError as error:
        return NoRenewalInfo(f"the CA's renewal info is not valid: {error}")
    return RenewalInfo(window, _parse_explanation(body.get("explanationURL")), reply.retry_after_seconds)


def _parse_window(value: object) -> Window:
    """Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError("suggestedWindow is missing")
    window = Window(_parse_time(value.get("start")), _parse_time(value.get("end")))
    if window.end <= window.start:
        raise ValueError(
            f"its window ends at {window.end.isoformat()}, not after its start at {window.start.isoformat()}"
        )
    return window


def _parse_object(reply: _Reply) -> dict[str, Any]:
    """Raises ValueError."""
    if len(reply.body) > _MAX_BODY_BYTES:
        raise ValueError(f"it is longer than {_MAX_BODY_BYTES} bytes")
    try:
        body = json.loads(reply.body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(body, dict):
        raise ValueError("it is not a JSON object")
    return body


def _parse_time(value: object) -> datetime:
    """Parse RFC 3339 into UTC. Raises ValueError."""
    with suppress(ValueError, OverflowError):
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        if at is not None and at.tzinfo is not None:
            return at.astimezone(UTC)
    raise ValueError(f"{value!r:.80} is not an RFC 3339 time")


def _parse_explanation(value: object) -> str | None:
    """Return the URL if it is a plain http(s) URL, which terminals can print and people can open safely."""
    if not isinstance(value, str) or len(value) > LONGEST or not value.isascii() or not value.isprintable():
        return None
    return value if value.lower().startswith(("https://", "http://")) and " " not in value else None


def _detail(reply: _Reply) -> str:
    """Return the detail of a problem document (RFC 7807); "" when there is none."""
    try:
        detail = _parse_object(reply).get("detail")
    except ValueError:
        return ""
    if not isinstance(detail, str):
        return ""
    return f": {printable(detail[:300])}"
