"""Notify the administrator by webhook: POST one JSON document, as `docs/hooks.md` describes.

Imported only when a webhook is configured. The URL often contains a secret, so messages name only its host.
"""

from typing import Final
from urllib.parse import urlsplit

import aiohttp

from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.errors import HookError
from wellkeeper_issuer.records import Notice
from wellkeeper_node.bodies import read_body
from wellkeeper_node.network_errors import words
from wellkeeper_node.ports import Clock
from wellkeeper_node.resolver import DaemonResolver
from wellkeeper_node.wording import with_reload

_TIMEOUT_SECONDS: Final = 10.0
_ANSWER_BYTES: Final = 2000
_SHOWN: Final = 200
# For chats that show the member `text` (Slack, Mattermost, Rocket.Chat).
_SENTENCES: Final = {
    Notice.FAILURE: "{host}: cannot renew certificate {lineage}: {detail}",
    Notice.DANGER: "{host}: certificate {lineage} expires soon and was not renewed: {detail}",
    Notice.RECOVERY: "{host}: certificate {lineage} has recovered",
    Notice.FINDING: "{host}: {detail}",
    Notice.BEHIND: "{host}: node {lineage} needs attention: {detail}",
    Notice.CAUGHT_UP: "{host}: node {lineage} has caught up: {detail}",
    Notice.JOINED: "{host}: node {lineage} has joined: {detail}",
    Notice.FORGOTTEN: "{host}: node {lineage} was removed: {detail}",
}
_ABOUT_NODES: Final = frozenset({Notice.BEHIND, Notice.CAUGHT_UP, Notice.JOINED, Notice.FORGOTTEN})


class Webhook:
    """Implements `ports.Notifications`. `host` is this machine's name, `version` ours."""

    def __init__(
        self, url: str, clock: Clock, *, host: str, version: str, timeout_seconds: float = _TIMEOUT_SECONDS
    ) -> None:
        self._url = url
        self._clock = clock
        self._host = host
        self._timeout_seconds = timeout_seconds
        self._headers = {"User-Agent": f"wellkeeper/{version}", "Accept-Encoding": "identity"}

    async def send(self, notice: Notice, lineage: str, detail: str) -> None:
        """Send the notice. Any answer but 2xx is a failure; redirects are not followed, as they would become GETs."""
        body = {
            "event": notice.value,
            "node" if notice in _ABOUT_NODES else "certificate": lineage,
            "detail": detail,
            "at": self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "host": self._host,
            "text": _SENTENCES[notice].format(host=self._host, lineage=lineage, detail=detail),
        }
        timeout = aiohttp.ClientTimeout(total=self._timeout_seconds)
        connector = aiohttp.TCPConnector(resolver=DaemonResolver())
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector,
                    timeout=timeout,
                    headers=self._headers,
                    trust_env=True,
                    auto_decompress=False,  # the size of a compressed body is only known after decompression
                ) as session,
                session.post(self._url, json=body, allow_redirects=False) as answer,
            ):
                if not 200 <= answer.status < 300:
                    content = await read_body(answer, _ANSWER_BYTES)
                    shown = "" if "Content-Encoding" in answer.headers else _shown(content)
                    raise self._error(notice, lineage, f"it answered with HTTP {answer.status}{shown}")
        except TimeoutError as error:
            raise self._error(notice, lineage, f"it did not answer within {self._timeout_seconds:g} s") from error
        except aiohttp.InvalidURL as error:
            # The text of this error is the URL.
            raise self._error(notice, lineage, "its URL is not valid") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._error(notice, lineage, words(error)) from error

    def _error(self, notice: Notice, lineage: str, why: str) -> HookError:
        return HookError(
            f"cannot notify the webhook at {urlsplit(self._url).hostname} of the {notice} of {lineage}",
            why,
            with_reload("The next pass tries again. If the URL is wrong, correct webhook under [notifications]."),
        )


def _shown(content: bytes) -> str:
    text = one_line(content.decode(errors="replace"), _SHOWN)
    return f": {text}" if text else ""
