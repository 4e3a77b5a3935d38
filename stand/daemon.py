"""The real `wellkeeper run`, followed line by line."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Mapping
from typing import Any, Final, Self

from stand.issuer import Finished, Issuer
from stand.processes import StandError

_EVENT_SECONDS: Final = 150.0


class IssuerDaemon:
    """Use as an async context manager: runs and answers inside, and is killed on leaving unless it has ended.

    It has begun once `logger` has written a line.
    """

    def __init__(self, issuer: Issuer, environment: Mapping[str, str] | None = None, logger: str = "run") -> None:
        self._logger = logger
        self._issuer = issuer
        self._environment = environment
        self.events: list[dict[str, Any]] = []
        self._lines: list[str] = []
        self._changed = asyncio.Event()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        return "".join(self._lines)

    async def __aenter__(self) -> Self:
        self._process = await self._issuer.start("run", "--log-format", "json", environment=self._environment)
        self._reading = asyncio.create_task(self._read())
        self._reading.add_done_callback(lambda _: self._changed.set())
        try:
            await self.until(event="log", logger=self._logger)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        await self.ended()

    async def until(self, **wanted: object) -> dict[str, Any]:
        """The first event with these values that no earlier call returned. Raises StandError when none comes."""
        try:
            async with asyncio.timeout(_EVENT_SECONDS):
                return await self._next(wanted)
        except TimeoutError:
            raise StandError(f"the daemon did not come to {wanted}: {self.log}") from None

    async def _next(self, wanted: dict[str, object]) -> dict[str, Any]:
        while True:
            self._changed.clear()
            is_over = self._reading.done()
            for event in self.events:
                if wanted.items() <= event.items():
                    self.events.remove(event)
                    return event
            if is_over:
                raise StandError(f"the daemon ended without {wanted}: {self.log}")
            await self._changed.wait()

    async def end(self, number: signal.Signals) -> Finished:
        self._process.send_signal(number)
        return await self.ended()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self) -> Finished:
        await self._reading
        out = await _pipe(self._process.stdout).read()
        return Finished(await self._process.wait(), out.decode(), self.log)

    async def _read(self) -> None:
        async for line in _pipe(self._process.stderr):
            text = line.decode()
            self._lines.append(text)
            self.events.append(json.loads(text) if text.startswith("{") else {"event": "line", "detail": text})
            self._changed.set()


def _pipe(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
    if stream is None:
        raise StandError("the daemon was started without pipes")
    return stream
