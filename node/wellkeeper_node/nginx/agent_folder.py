"""Ask nginx's agent, a program in nginx's container, and wait for its answers (docs/design/0028-reaching-nginx.md).

We write files to `questions`, and it writes them to `answers`. One question is asked at a time, by whichever process
has locked `questions`. It waits at a named pipe for the news of a question; we look for the answer every 20 ms.
"""

import asyncio
import contextlib
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from wellkeeper_node.errors import EndedError, ReloadError
from wellkeeper_node.nginx import agent_files
from wellkeeper_node.ports import Clock
from wellkeeper_node.wording import format_exact_time

Word = Literal["test", "show", "reload"]

_POLL_SECONDS: Final = 0.02
# The agent writes its heartbeat every second, also while it waits for nginx.
_FRESH_SECONDS: Final = 5.0
_SILENT_SECONDS: Final = 10.0
# The agent ends whatever it runs after 120 s; a refused reload is a wait and a test.
_LONGEST_SECONDS: Final = 600.0
_OUTPUT_BYTES: Final = 64 * 1024 * 1024
_LINE_BYTES: Final = 4096
_BELL: Final = "bell"
_QUESTION: Final = re.compile(r"[0-9a-f]{32}\.(?:test|show|reload)")
_MAKE_ROOM: Final = "Make room on it: nginx's agent continues by itself."
_START: Final = "Start nginx's container with Wellkeeper's entrypoint and volumes, as docs/reaching-nginx.md shows."


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The agent, a number that it counts up, nginx's master (0 without one), and the numbers of its workers.

    Its age is that at the moment when it was read.
    """

    agent: str
    count: int
    master: int
    accepting: int
    leaving: int
    age_seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """`result` and `detail`, which is a number, are words of the protocol; `output` is what nginx printed."""

    result: str
    detail: str
    seconds: float
    output: str


class AgentFolder:
    """The directory with `questions` and `answers`."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.questions = folder / "questions"
        self.answers = folder / "answers"
        self._clock = clock

    async def heartbeat(self) -> Heartbeat:
        """Return a heartbeat of the last seconds, and check that questions can be asked. Raises ReloadError."""
        with self._opened() as (questions, answers):
            agent_files.check_writable(questions, self.questions)
            return await self._beating(answers)

    async def next_heartbeat(self, last: Heartbeat) -> Heartbeat:
        """Return a heartbeat after this one; the agent writes one each second. Raises ReloadError."""
        with self._opened() as (_, answers):
            return await self._next(answers, last)

    async def ask(self, word: Word) -> Reply:
        """Return the answer. Raises ReloadError if there is none.

        A question that the agent found when it started is asked again: all questions may be repeated.
        """
        with self._opened() as (questions, answers):
            await self._lock(questions)
            await self._beating(answers)
            reply = await self._ask(word, questions, answers)
            return await self._ask(word, questions, answers) if reply.result == "interrupted" else reply

    async def _ask(self, word: Word, questions: int, answers: int) -> Reply:
        number = secrets.token_hex(16)
        name = f"{number}.{word}"
        agent_files.make(questions, name, self.questions)
        try:
            agent_files.ring(answers, _BELL)
            result, detail, hundredths = agent_files.fields(await self._status(answers, f"{number}.status"), 1, 2)
            output = await asyncio.to_thread(agent_files.read, answers, f"{number}.output", _OUTPUT_BYTES)
        finally:
            agent_files.remove(questions, name)
            agent_files.ring(answers, _BELL)  # so that the agent removes its answer
        return Reply(result, detail, int(hundredths) / 100, output[0] if output else "")

    async def _status(self, answers: int, name: str) -> str:
        """Wait for the status while the heart of the agent beats."""
        began = changed = self._clock.monotonic()
        last: Heartbeat | None = None
        while (found := agent_files.read(answers, name, _LINE_BYTES)) is None:
            now, beat = self._clock.monotonic(), _read_heartbeat(answers)[0]
            if beat != last:
                last, changed = beat, now
            if now - changed > _SILENT_SECONDS:
                raise self._silent(answers, EndedError)
            if now - began > _LONGEST_SECONDS:
                raise ReloadError("nginx's agent does not answer", f"it was asked {now - began:.0f} s ago", _START)
            await self._clock.sleep(_POLL_SECONDS)
        return found[0]

    async def _beating(self, answers: int) -> Heartbeat:
        """Return a heartbeat of the last seconds; wait for another if it looks old: the clock may have been set."""
        first, at = _read_heartbeat(answers)
        age = self._clock.now().timestamp() - at
        if first is not None and abs(age) < _FRESH_SECONDS:
            return replace(first, age_seconds=max(0.0, age))
        return await self._next(answers, first)

    async def _next(self, answers: int, first: Heartbeat | None) -> Heartbeat:
        began = self._clock.monotonic()
        while self._clock.monotonic() - began < _FRESH_SECONDS:
            await self._clock.sleep(_POLL_SECONDS)
            beat, _ = _read_heartbeat(answers)
            if beat is not None and beat != first:
                return beat
        raise self._silent(answers)

    def _silent(self, answers: int, kind: type[ReloadError] = ReloadError) -> ReloadError:
        """Return the error: of this kind, unless the agent only has no room."""
        path = self.answers / "heartbeat"
        beat, at = _read_heartbeat(answers)
        if agent_files.is_full(answers):
            return ReloadError("nginx's agent cannot answer", f"the volume of {self.answers} is full", _MAKE_ROOM)
        why = f"{path} has not changed since {_format(at)}" if beat else f"{path} does not exist"
        return kind("nginx's agent does not run", why, _START)

    async def _lock(self, questions: int) -> None:
        """Wait until no other process asks, and remove what killed ones left; closing `questions` unlocks it."""
        began = self._clock.monotonic()
        while not _is_locked(questions):
            if self._clock.monotonic() - began > _LONGEST_SECONDS:
                why = f"another process has waited for its answer for {_LONGEST_SECONDS:.0f} s"
                remedy = f"Find that Wellkeeper process with 'fuser {self.questions}', and stop it."
                raise ReloadError("cannot ask nginx's agent", why, remedy)
            await self._clock.sleep(_POLL_SECONDS)
        for name in filter(_QUESTION.fullmatch, os.listdir(questions)):
            agent_files.remove(questions, name)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[int, int]]:
        with agent_files.opened(self.questions) as questions, agent_files.opened(self.answers) as answers:
            agent_files.check_private(answers, self.answers)
            yield questions, answers


def _is_locked(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_heartbeat(answers: int) -> tuple[Heartbeat | None, float]:
    """Return the heartbeat and the time of it, in seconds since 1970."""
    found = agent_files.read(answers, "heartbeat", _LINE_BYTES)
    if found is None:
        return None, 0.0
    agent, *numbers = agent_files.fields(found[0], 1, 4)
    return Heartbeat(agent, *map(int, numbers)), found[1]


def _format(at: float) -> str:
    """Return the time of a file; another program may have set any."""
    try:
        return format_exact_time(datetime.fromtimestamp(at, UTC))
    except (ValueError, OverflowError, OSError):
        return f"an impossible time ({at:.0f} s after 1970)"
