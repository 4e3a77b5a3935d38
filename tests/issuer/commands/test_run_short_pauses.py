"""The pauses of the daemon's event loop."""

import gc
import sys
from collections.abc import Iterator, Mapping

import pytest

from wellkeeper_issuer.commands.run_short_pauses import MOST_YOUNG_OBJECTS, keep_pauses_short


@pytest.fixture
def examined() -> Iterator[list[int]]:
    """Fill with the number of objects of each collection."""
    found: list[int] = []

    def count(phase: str, info: Mapping[str, int]) -> None:
        if phase == "start":
            found.append(sum(len(gc.get_objects(one)) for one in range(info["generation"] + 1)))

    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.callbacks.append(count)
    yield found
    gc.callbacks.remove(count)
    gc.set_threshold(*thresholds)
    sys.setswitchinterval(interval)
    gc.unfreeze()


def test_no_collection_examines_more_objects_than_take_a_few_milliseconds(examined: list[int]) -> None:
    keep_pauses_short()
    kept = [[number] for number in range(10 * MOST_YOUNG_OBJECTS)]
    assert len(kept) == 10 * MOST_YOUNG_OBJECTS
    assert len(examined) > 10
    # A collection waits for the end of a step of Python's evaluation loop.
    assert max(examined) < 1.1 * MOST_YOUNG_OBJECTS


@pytest.mark.usefixtures("examined")
def test_event_loop_waits_briefly_for_busy_threads() -> None:
    keep_pauses_short()
    assert sys.getswitchinterval() < 0.0005
