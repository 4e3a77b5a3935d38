"""A text that is made once for several requests."""

import asyncio
import threading

import pytest

from tests.fakes import FakeClock
from wellkeeper_issuer.outside.web.shared import FRESH_SECONDS, SharedText


class Work:
    """Counts its calls, all in another thread than the event loop's."""

    def __init__(self) -> None:
        self.count = 0
        self.loop_thread = threading.get_ident()
        self.error: Exception | None = None

    def __call__(self) -> str:
        assert threading.get_ident() != self.loop_thread
        self.count += 1
        if self.error:
            raise self.error
        return str(self.count)


async def test_requests_within_seconds_share_one_text() -> None:
    clock, work = FakeClock(), Work()
    text = SharedText(work, clock)
    assert await asyncio.gather(*(text.get() for _ in range(5))) == ["1"] * 5
    clock.advance(FRESH_SECONDS)
    assert await text.get() == "2"


async def test_failure_is_raised_and_tried_again_by_the_next_request() -> None:
    work = Work()
    text = SharedText(work, FakeClock())
    work.error = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        await text.get()
    work.error = None
    assert await text.get() == "2"
