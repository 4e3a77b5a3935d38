"""Asks CAs when they want certificates renewed (RFC 9773): plain GETs without an account, and without the acme library.

A directory is read once a day. A CA that is away, or wants to be left alone, is not asked again by every certificate.
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

# As for all else that CAs are asked: connecting and reading apart. In all, so that no trickle holds a place for ever.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=90, sock_connect=5, sock_read=30)
# Let's Encrypt allows a thousand a second; ten thousand certificates need not come at once.
_ASKS_AT_ONCE: Final = 8
# Real answers have 200 bytes, directories 1 500.
_MAX_BODY_BYTES: Final = 65_536
_DIRECTORY_SECONDS: Final = 86_400.0
# RFC 9773 section 4.3.2 would have a CA asked again after a minute at the earliest.
_SILENCE_SECONDS: Final = 60.0
_LONGEST_SILENCE_SECONDS: Final = 3_600.0


@dataclass(slots=True)
class _Ca:
    """What is known of one CA.

    `context` is True for the usual roots, `is_read_at` a monotonic time, None before its directory was read.
    """

    directory_url: str
    context: ssl.SSLContext | bool
    url: str | None = None
    is_read_at: float | None = None
    silence: NoRenewalInfo | None = None
    silent_until: float = 0.0
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_ASKS_AT_ONCE))


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    retry_after_seconds: float | None
    body: bytes


class AcmeRenewalInfos:
    """Implements `ports.RenewalInfos`. Use as an async context manager.

    `bundles` gives, by directory URL, the PEM file that a CA's TLS certificate is verified with; the system's without.
    """

    def __init__(self, bundles: Mapping[str, str | None], *, user_agent: str, clock: Clock) -> None:
        self._bundles = bundles
        # RFC 8555 section 6.1; what is packed cannot be bounded before it is unpacked.
        self._headers = {"User-Agent": user_agent, "Accept-Language": "en", "Accept-Encoding": "identity"}
        self._clock = clock
        self._cas: dict[str, _Ca] = {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=_TIMEOUT,
            headers=self._headers,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=True,  # HTTPS_PROXY and NO_PROXY, as for all else that a CA is asked
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, directory_url: str, certificate_id: str) -> RenewalInfo | NoRenewalInfo | None:
        """As `ports.RenewalInfos.ask`."""
        try:
            ca = self._ca(directory_url)
        except OSError as error:
            return NoRenewalInfo(f"{self._bundles.get(directory_url)} cannot be used: {error}")
        async with ca.slots:
            problem = await self._find(ca)
            if problem is not None or ca.url is None:
                return problem
            reply = await self._get(ca, f"{ca.url.rstrip('/')}/{certificate_id}")
            return reply if isinstance(reply, NoRenewalInfo) else _parse_info(reply)

    def _ca(self, directory_url: str) -> _Ca:
        if directory_url not in self._cas:
            bundle = self._bundles.get(directory_url)
            # Reading the system's roots takes 20 ms; aiohttp has done it already.
            self._cas[directory_url] = _Ca(directory_url, ssl.create_default_context(cafile=bundle) if bundle else True)
        return self._cas[directory_url]

    async def _find(self, ca: _Ca) -> NoRenewalInfo | None:
        """Sets `ca.url` from the directory, unless that was done already."""
        async with ca.reading:
            now = self._clock.monotonic()
            if ca.is_read_at is not None and now < ca.is_read_at + _DIRECTORY_SECONDS:
                return None
            reply = await self._get(ca, ca.directory_url)
            if isinstance(reply, NoRenewalInfo):
                return reply
            try:
                found = _parse_object(reply).get("renewalInfo")
            except ValueError as error:
                return self._be_silent(ca, NoRenewalInfo(f"{ca.directory_url} is no directory: {error}"))
            ca.url = cleaned(found) if isinstance(found, str) else None
            ca.is_read_at = now
            return None

    async def _get(self, ca: _Ca, url: str) -> _Reply | NoRenewalInfo:
        """What the CA replied with status 200."""
        if ca.silence is not None and self._clock.monotonic() < ca.silent_until:
            return ca.silence
        try:
            reply = await self._fetch(ca, url)
        except TimeoutError:
            return self._be_silent(ca, NoRenewalInfo(f"{url} did not answer in time", is_passing=True))
        except (aiohttp.ClientError, ValueError) as error:
            # Not passing: RFC 9773 section 4.3.3 counts DNS failures and refused connections as lasting.
            return self._be_silent(ca, NoRenewalInfo(f"{url} cannot be asked: {words(error)}"))
        if reply.status == 200:
            return reply
        reason = f"{url} answered HTTP {reply.status}{_detail(reply)}"
        refusal = NoRenewalInfo(reason, reply.status >= 500, reply.retry_after_seconds)
        if reply.status in {429, 503} or url == ca.directory_url:
            return self._be_silent(ca, refusal)
        return refusal

    def _be_silent(self, ca: _Ca, reason: NoRenewalInfo) -> NoRenewalInfo:
        """For all certificates: the next ones get the same answer without a question."""
        asked = _SILENCE_SECONDS if reason.retry_after_seconds is None else reason.retry_after_seconds
        ca.silence = reason
        ca.silent_until = self._clock.monotonic() + min(asked, _LONGEST_SILENCE_SECONDS)
        return reason

    async def _fetch(self, ca: _Ca, url: str) -> _Reply:
        async with self._session.get(url, ssl=ca.context, max_redirects=3) as response:
            body = await read_body(response, _MAX_BODY_BYTES)
            seconds = retry_after_seconds(response.headers, self._clock.now())
            return _Reply(response.status, seconds, body)


def _parse_info(reply: _Reply) -> RenewalInfo | NoRenewalInfo:
    """RFC 9773 section 4.2."""
    try:
        body = _parse_object(reply)
        window = _parse_window(body.get("suggestedWindow"))
    except ValueError as error:
        return NoRenewalInfo(f"the CA's renewal info is of no use: {error}")
    return RenewalInfo(window, _parse_explanation(body.get("explanationURL")), reply.retry_after_seconds)


def _parse_window(value: object) -> Window:
    """Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError("it has no suggestedWindow")
    window = Window(_parse_time(value.get("start")), _parse_time(value.get("end")))
    if window.end <= window.start:
        raise ValueError(f"its window ends at {window.end.isoformat()}, but begins at {window.start.isoformat()}")
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
        raise ValueError("it is no JSON object")
    return body


def _parse_time(value: object) -> datetime:
    """RFC 3339, in UTC. Raises ValueError."""
    with suppress(ValueError, OverflowError):
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        if at is not None and at.tzinfo is not None:
            return at.astimezone(UTC)
    raise ValueError(f"{value!r:.80} is no RFC 3339 time")


def _parse_explanation(value: object) -> str | None:
    """People will open it and terminals print it: nothing but a plain http(s) URL passes."""
    if not isinstance(value, str) or len(value) > LONGEST or not value.isascii() or not value.isprintable():
        return None
    return value if value.lower().startswith(("https://", "http://")) and " " not in value else None


def _detail(reply: _Reply) -> str:
    """The words of a problem document (RFC 7807), if it is one."""
    try:
        detail = _parse_object(reply).get("detail")
    except ValueError:
        return ""
    if not isinstance(detail, str):
        return ""
    return f": {printable(detail[:300])}"
