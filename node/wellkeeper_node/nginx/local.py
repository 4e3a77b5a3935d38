"""Test and reload the nginx of this host with its own binary, and read its configuration with it."""

import asyncio
import contextlib
from typing import Final

from wellkeeper_node import process
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.model import Tested
from wellkeeper_node.nginx import refusals
from wellkeeper_node.nginx.configuration import Sources, dumped
from wellkeeper_node.nginx.configured import ConfiguredNginx
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.error_log import LONGEST_BYTES
from wellkeeper_node.nginx.pid_file import kept_absent
from wellkeeper_node.nginx.reloading import BIND_SECONDS, LEAST_REFUSAL_SECONDS, Reloads, check_program, run
from wellkeeper_node.nginx.said import words_of
from wellkeeper_node.ports import Clock

_CONFIGURATION_BYTES: Final = 64 * 1024 * 1024
_UNREADABLE: Final = "cannot read nginx's configuration ('nginx -T')"


class LocalNginx(ConfiguredNginx):
    """Implements `factory.HostNginx` for an nginx whose binary and processes are here."""

    def __init__(self, control: Control, clock: Clock) -> None:
        self._control = control
        self._clock = clock
        self._reloads = Reloads(control, clock)

    async def prove(self) -> None:
        check_program(self._control.command[0])
        self._reloads.prove()

    async def test(self) -> Tested:
        began = self._clock.monotonic()
        finished = await self._examine("-t", LONGEST_BYTES)
        passed = finished.exit_code == 0
        return Tested(passed, words_of(finished.output, passed=passed), self._clock.monotonic() - began)

    async def reload(self, tested: Tested | None) -> int:
        tested = tested or await self.test()
        limit = max(LEAST_REFUSAL_SECONDS, 2 * tested.seconds + BIND_SECONDS)
        return await self._reloads.reload(limit, self._words)

    async def finishing(self) -> int:
        return self._reloads.finishing()

    async def sources(self) -> Sources:
        finished = await self._examine("-T", _CONFIGURATION_BYTES)
        if finished.exit_code != 0:
            words = words_of(finished.output, passed=False)
            raise ReloadError(_UNREADABLE, words, refusals.remedy_of(words))
        try:
            return await asyncio.to_thread(dumped, finished.output)
        except ValueError as error:
            raise ReloadError(_UNREADABLE, str(error)) from error

    async def _words(self) -> str:
        tested = await self.test()
        return "" if tested.passed else tested.words

    async def _examine(self, option: str, output_bytes: int) -> process.Finished:
        pid_file = self._control.pid_file
        with kept_absent(pid_file) if pid_file else contextlib.nullcontext():
            return await run([*self._control.command, option], output_bytes)
