"""Counting calls to state and disk, by a wrapper around the real objects."""

import inspect
from collections import Counter
from typing import Any, TypeVar, cast

T = TypeVar("T")


def counted(wrapped: T, calls: Counter[str], prefix: str) -> T:
    """Return a wrapper with the same interface that counts coroutine calls of the object and its parts by name."""
    return cast(T, _Counted(wrapped, calls, prefix))


class _Counted:
    def __init__(self, wrapped: object, calls: Counter[str], prefix: str) -> None:
        self._wrapped = wrapped
        self._calls = calls
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the wrapped one has
        found, label = getattr(self._wrapped, name), f"{self._prefix}.{name}"
        if not callable(found):
            return _Counted(found, self._calls, label)
        if not inspect.iscoroutinefunction(found):
            return found

        async def call(*arguments: object, **named: object) -> object:
            self._calls[label] += 1
            return await found(*arguments, **named)

        return call
