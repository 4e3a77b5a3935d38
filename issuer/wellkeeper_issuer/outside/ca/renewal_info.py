"""Ask CAs when to renew certificates (RFC 9773): plain GETs without an account or the acme library.

They use the connection and the directory of all other requests to the CA. After a CA fails or sends Retry-After, no
certificate asks it for a while. Those that would have asked meanwhile have learnt nothing, and ask soon afterwards.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

import aiohttp

from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.outside.ca.json_replies import ReplyError
from wellkeeper_issuer.outside.ca.problems import ProblemError
from wellkeeper_issuer.outside.ca.retry_after import retry_after_seconds
from wellkeeper_issuer.outside.ca.server import CaServer
from wellkeeper_issuer.outside.ca.session import Reply
from wellkeeper_issuer.records import NoRenewalInfo, RenewalInfo, Window
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.network_errors import words
from wellkeeper_node.ports import Clock

# Let's Encrypt allows 1 000 per second; a CA need not receive ten thousand requests at once.
_ASKS_AT_ONCE: Final = 8
# RFC 9773 section 4.3.2: ask again after one minute at the earliest.
_PAUSE_SECONDS: Final = 60.0
_LONGEST_PAUSE_SECONDS: Final = 3_600.0
_LONGEST_URL: Final = 2_000


@dataclass(slots=True)
class _Ca:
    """State of one CA."""

    server: CaServer
    pause_reason: NoRenewalInfo | None = None
    paused_until: float = 0.0
    finding: asyncio.Lock = field(default_factory=asyncio.Lock)
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_ASKS_AT_ONCE))


class AcmeRenewalInfos:
    """Implements `ports.RenewalInfos`. `open_server` returns the CA's server for a directory URL.

    It raises ValueError for a CA that the settings no longer allow.
    """

    def __init__(self, open_server: Callable[[str], CaServer], clock: Clock) -> None:
        self._open_server = open_server
        self._clock = clock
        self._cas: dict[str, _Ca] = {}

    async def ask(self, directory_url: str, certificate_id: str) -> RenewalInfo | NoRenewalInfo | None:
        """Implement `ports.RenewalInfos.ask`."""
        ca = self._cas.get(directory_url)
        if ca is None:
            try:
                ca = self._cas[directory_url] = _Ca(self._open_server(directory_url))
            except ValueError as error:
                return NoRenewalInfo(f"cannot ask the CA that issued it: {error}")
        async with ca.slots:
            found = await self._find(ca)
            return await self._read(ca, f"{found.rstrip('/')}/{certificate_id}") if isinstance(found, str) else found

    async def _find(self, ca: _Ca) -> str | NoRenewalInfo | None:
        """Return the URL of all renewal infos; None when the directory has none; the reason when it cannot be read."""
        async with ca.finding:  # those who waited while the CA failed do not ask it again
            if reason := self._paused(ca):
                return reason
            url = ca.server.directory_url
            try:
                found = (await ca.server.directory()).get("renewalInfo")
            except ProblemError as error:
                return _unreached(self._pause(ca, _refusal(url, error)))
            except ReplyError as error:
                return _unreached(self._pause(ca, NoRenewalInfo(f"{url} is not a directory of a CA: {error}")))
            except (aiohttp.ClientError, OSError, WellkeeperError) as error:
                return self._pause(ca, _silence(url, error))
            return found if isinstance(found, str) and found.isprintable() else None

    async def _read(self, ca: _Ca, url: str) -> RenewalInfo | NoRenewalInfo:
        """Return the renewal info, else the reason why there is none."""
        if reason := self._paused(ca):
            return reason
        try:
            reply = await ca.server.session.get(url)
        except ReplyError as error:
            return NoRenewalInfo(f"cannot use {url}: {error}")
        except (aiohttp.ClientError, OSError, WellkeeperError) as error:
            return self._pause(ca, _silence(url, error))
        seconds = retry_after_seconds(reply.headers, self._clock.now())
        if reply.status == 200:
            return _parse_info(reply, seconds)
        refusal = NoRenewalInfo(f"{url} answered HTTP {reply.status}{_detail(reply)}", reply.status >= 500, seconds)
        return self._pause(ca, refusal) if reply.status in {429, 503} else refusal

    def _paused(self, ca: _Ca) -> NoRenewalInfo | None:
        is_over = self._clock.monotonic() >= ca.paused_until
        return None if is_over or ca.pause_reason is None else _unreached(ca.pause_reason)

    def _pause(self, ca: _Ca, reason: NoRenewalInfo) -> NoRenewalInfo:
        """Stop asking this CA for a while: all certificates get the same reason."""
        seconds = _PAUSE_SECONDS if reason.retry_after_seconds is None else reason.retry_after_seconds
        ca.pause_reason = reason
        ca.paused_until = self._clock.monotonic() + min(seconds, _LONGEST_PAUSE_SECONDS)
        return reason


def _refusal(url: str, error: ProblemError) -> NoRenewalInfo:
    problem = error.problem
    reason = f"{url} answered HTTP {problem.status}: {one_line(problem.detail, 300)}"
    return NoRenewalInfo(reason, (problem.status or 0) >= 500, problem.retry_after_seconds)


def _silence(url: str, error: Exception) -> NoRenewalInfo:
    is_late = isinstance(error, TimeoutError)
    why = f"{url} did not answer in time" if is_late else f"cannot reach {url}: {words(error)}"
    return _unreached(NoRenewalInfo(why))


def _unreached(reason: NoRenewalInfo) -> NoRenewalInfo:
    return replace(reason, is_passing=True, is_unreached=True)


def _parse_info(reply: Reply, retry_after_seconds: float | None) -> RenewalInfo | NoRenewalInfo:
    """Parse a renewalInfo object (RFC 9773 section 4.2)."""
    try:
        body = reply.json()
        window = _parse_window(body.get("suggestedWindow"))
    except (ReplyError, ValueError) as error:
        return NoRenewalInfo(f"the CA's renewal info is not valid: {error}")
    return RenewalInfo(window, _parse_explanation(body.get("explanationURL")), retry_after_seconds)


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


def _parse_time(value: object) -> datetime:
    """Parse RFC 3339 into UTC. Raises ValueError."""
    with suppress(ValueError, OverflowError):
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        if at is not None and at.tzinfo is not None:
            return at.astimezone(UTC)
    raise ValueError(f"{value!r:.80} is not an RFC 3339 time")


def _parse_explanation(value: object) -> str | None:
    """Return the URL if it is a plain http(s) URL, which terminals can print and people can open safely."""
    if not isinstance(value, str) or len(value) > _LONGEST_URL or not value.isascii() or not value.isprintable():
        return None
    return value if value.lower().startswith(("https://", "http://")) and " " not in value else None


def _detail(reply: Reply) -> str:
    """Return the detail of a problem document (RFC 7807); "" when there is none."""
    try:
        detail = reply.json().get("detail")
    except ReplyError:
        return ""
    if not isinstance(detail, str):
        return ""
    return f": {one_line(detail, 300)}"
