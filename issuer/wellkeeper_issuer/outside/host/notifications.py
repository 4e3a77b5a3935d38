"""Notify by webhook: POST one document, as `docs/notifications.md` describes.

Imported only when a webhook is configured.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any, Final

from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.errors import HookError, RefusedError
from wellkeeper_issuer.messages import Message
from wellkeeper_issuer.outside.host.calls import Call, CallError, call, host_of
from wellkeeper_issuer.outside.host.secret_files import read_secret
from wellkeeper_issuer.records import Notice
from wellkeeper_node.wording import with_reload

# The document is too long, or not what the server expects; others may be.
_OF_ONE_MESSAGE: Final = frozenset({400, 413, 422})
# `Bearer` is shorter.
_SHORTEST_TOKEN: Final = 8
# PagerDuty refuses a summary of more than 1024 characters, Discord a message of more than 2000.
_LONGEST_TEXT: Final = 1000
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Sender:
    """This host's name, and the version of this program."""

    host: str
    version: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """Implements `ports.people.Target`.

    `url`, `headers` and `body` may have placeholders if `is_template`; without a body, all values are sent as JSON.
    """

    name: str
    url: str
    events: frozenset[Notice]
    sender: Sender
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | Mapping[str, Any] | None = None
    secret_file: Path | None = None
    ca_bundle: Path | None = None
    is_template: bool = True
    timeout_seconds: float = 10.0

    def wants(self, notice: Notice) -> bool:
        return notice in self.events

    async def send(self, message: Message) -> None:
        secret = await read_secret(self.secret_file) if self.secret_file else ""
        values = {**_placeholders(message, self.sender.host), "secret": secret}
        kind, content = self._document(message, values)
        headers = {name: Template(text).substitute(values) for name, text in self.headers.items()}
        named = {name.lower() for name in headers}
        usual = {"Content-Type": kind, "Idempotency-Key": message.id}
        headers |= {name: text for name, text in usual.items() if name.lower() not in named}
        url = Template(self.url).substitute(values) if self.is_template else self.url
        wanted = Call(
            url,
            self.sender.version,
            headers=headers,
            body=content,
            ca_bundle=self.ca_bundle,
            timeout_seconds=self.timeout_seconds,
            secrets=(secret, *self._words_of_headers()),
        )
        try:
            await call(wanted)
        except CallError as error:
            kind_of_error = RefusedError if error.status in _OF_ONE_MESSAGE else HookError
            raise kind_of_error(
                f"cannot notify the webhook at {host_of(self.url)} of {message.name}",
                str(error),
                with_reload("If its settings are wrong, correct them under [notifications]."),
            ) from error

    def _words_of_headers(self) -> Iterator[str]:
        """Yield what may be a token in the settings, where `secret_file` was not used."""
        for text in self.headers.values():
            words = (word.replace("$$", "$") for word in text.split() if "$" not in word.replace("$$", ""))
            yield from (word for word in words if len(word) >= _SHORTEST_TOKEN)

    def _document(self, message: Message, values: Mapping[str, str]) -> tuple[str, bytes]:
        """Return the content type and the body."""
        if isinstance(self.body, str):
            return "text/plain; charset=utf-8", Template(self.body).substitute(values).encode()
        document = _all(message, values) if self.body is None else _filled(self.body, values)
        return "application/json", json.dumps(document).encode()


def _placeholders(message: Message, host: str) -> dict[str, str]:
    return {
        "id": message.id,
        "event": message.notice.value,
        "subject": message.subject,
        "detail": message.detail,
        "at": message.at.strftime(_TIME),
        "host": host,
        "title": f"{host}: {message.title}",
        # For chats that show the member `text` (Slack, Mattermost, Rocket.Chat).
        "text": one_line(f"{host}: {message.sentence}", _LONGEST_TEXT),
        "command": message.command,
    }


def _all(message: Message, values: Mapping[str, str]) -> dict[str, str]:
    named = {message.subject_key: message.subject}
    return {"id": message.id, "event": message.notice.value, **named} | {
        key: values[key] for key in ("detail", "at", "host", "command", "text")
    }


def _filled(value: Any, values: Mapping[str, str]) -> Any:  # noqa: ANN401 - any TOML
    if isinstance(value, str):
        return Template(value).substitute(values)
    if isinstance(value, Mapping):
        return {key: _filled(one, values) for key, one in value.items()}
    return [_filled(one, values) for one in value] if isinstance(value, list) else value
