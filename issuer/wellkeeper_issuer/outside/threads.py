"""Run tasks on threads that never delay the program's exit.

`concurrent.futures.ThreadPoolExecutor` joins its threads at interpreter exit; a CA that does not answer would then
delay Ctrl-C by half a minute.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class DaemonThreads(Executor):
    """An executor for `loop.run_in_executor` with `count` threads, started with the first task."""

    def __init__(self, count: int, name: str) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._count = count
        self._name = name
        self._started = False
        self._ended = False

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Queue a task. Raises RuntimeError after `shutdown`."""
        if self._ended:
            raise RuntimeError(f"the threads {self._name!r} were shut down")
        future: Future[R] = Future()

        def task() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - raised where the future is awaited
                future.set_exception(error)
            else:
                future.set_result(result)

        self._start()
        self._tasks.put(task)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """Let the threads end after all submitted tasks; never waits for them. Idempotent."""
        if self._ended:
            return
        self._ended = True
        for _ in range(self._count):
            self._tasks.put(None)

    def _start(self) -> None:
        if self._started:
            return
        self._started = True
        for number in range(self._count):
            threading.Thread(target=self._work, name=f"{self._name}-{number}", daemon=True).start()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
