"""The notices of `records.Notice` as messages for people, and the backlog of those who get them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from wellkeeper_issuer.records import Notice

_ABOUT_NODES: Final = frozenset({Notice.BEHIND, Notice.CAUGHT_UP, Notice.JOINED, Notice.FORGOTTEN})
_SENTENCES: Final = {
    Notice.FAILURE: "cannot renew certificate {subject}: {detail}",
    Notice.DANGER: "certificate {subject} expires soon and was not renewed: {detail}",
    Notice.RECOVERY: "certificate {subject} has recovered",
    Notice.RENEWED: "certificate {subject} was renewed: {detail}",
    Notice.FINDING: "{detail}",
    Notice.BEHIND: "node {subject} needs attention: {detail}",
    Notice.CAUGHT_UP: "node {subject} has caught up: {detail}",
    Notice.JOINED: "node {subject} has joined: {detail}",
    Notice.FORGOTTEN: "node {subject} was removed: {detail}",
    Notice.TEST: "this is a test: {detail}",
}
_TITLES: Final = {
    Notice.FAILURE: "cannot renew {subject}",
    Notice.DANGER: "{subject} expires soon",
    Notice.RECOVERY: "{subject} has recovered",
    Notice.RENEWED: "{subject} was renewed",
    Notice.FINDING: "a daily check failed",
    Notice.BEHIND: "node {subject} needs attention",
    Notice.CAUGHT_UP: "node {subject} has caught up",
    Notice.JOINED: "node {subject} has joined",
    Notice.FORGOTTEN: "node {subject} was removed",
    Notice.TEST: "test",
}
_COMMANDS: Final = {
    Notice.FAILURE: "sudo wellkeeper why {subject}",
    Notice.DANGER: "sudo wellkeeper why {subject}",
    Notice.FINDING: "sudo wellkeeper doctor",
    Notice.BEHIND: "sudo wellkeeper status --nodes",
}


@dataclass(frozen=True, slots=True)
class Message:
    """One notice. `subject` is a certificate or a node, "" for this host; a repeat has the same `id`."""

    id: str
    notice: Notice
    subject: str
    detail: str
    at: datetime

    @property
    def sentence(self) -> str:
        return self._fill(_SENTENCES[self.notice])

    @property
    def title(self) -> str:
        return self._fill(_TITLES[self.notice])

    @property
    def command(self) -> str:
        """Return the command to run on the issuer's host; "" when nothing needs a person."""
        return self._fill(_COMMANDS.get(self.notice, ""))

    @property
    def subject_key(self) -> str:
        return "node" if self.notice in _ABOUT_NODES else "certificate"

    @property
    def name(self) -> str:
        """Name the message in errors."""
        return f"the {self.notice} of {self.subject}" if self.subject else f"a {self.notice}"

    def _fill(self, text: str) -> str:
        return text.format(subject=self.subject, detail=self.detail)


@dataclass(frozen=True, slots=True)
class Backlog:
    """The number of messages that wait for a target; `since` and `error` say why, if it accepted none since then.

    `oldest_at` is the time of the oldest one.
    """

    waiting: int
    since: datetime | None = None
    error: str = ""
    oldest_at: datetime | None = None
