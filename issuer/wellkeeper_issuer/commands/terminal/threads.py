"""Threads that never delay an exit, for calls that change nothing."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class AbandonedThreads(ThreadPoolExecutor):
    """Runs each call on a daemon thread of its own; a call that hangs (a dead file system) ends with the process.

    The event loop accepts only this kind of executor, and would wait for the threads of the usual one.
    """

    def submit(
        self, fn: Callable[_Arguments, _Result], /, *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> "Future[_Result]":
        future: Future[_Result] = Future()
        future.set_running_or_notify_cancel()  # from now on, it cannot be cancelled

        def run() -> None:
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - raised where it is awaited
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=run, name="doctor", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the threads to end by themselves."""


async def run_apart(work: Callable[[], _Result]) -> _Result:
    """Run it as asyncio.to_thread does, but never wait for it at the end of the loop or of the program."""
    return await asyncio.get_running_loop().run_in_executor(AbandonedThreads(), work)
