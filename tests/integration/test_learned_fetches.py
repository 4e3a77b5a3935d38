"""The question for the verdict, right after as many fetches as Pebble makes."""

from itertools import pairwise
from pathlib import Path

import pytest

from stand.fault_proxy import Kind
from tests.integration.misbehaving import MOST_PASSES, Misbehaving, misbehaving
from tests.integration.observed import fetch_counts

pytestmark = pytest.mark.integration

QUIET_SECONDS = 0.2


async def seconds_until_asked(ca: Misbehaving) -> float:
    """Renew, and return the time between the answer to the challenge and the first question for the verdict.

    Renew again if Pebble reused the authorization, as it does one time in a hundred: then there is no challenge.
    """
    for _ in range(MOST_PASSES):
        ca.proxy.asked.clear()
        await ca.serves()
        if ca.proxy.times(Kind.CHALLENGE):
            break
    (seconds,) = [
        later.at - one.at
        for one, later in pairwise(ca.proxy.asked)
        if (one.kind, later.kind) == (Kind.CHALLENGE, Kind.AUTHORIZATION)
    ]
    return seconds


async def test_quiet_time_is_saved_after_three_equal_counts(folder: Path) -> None:
    async with misbehaving(folder) as ca:
        # A busy machine makes the CA's fetches late, and the count begins again.
        first = [await seconds_until_asked(ca) for _ in range(3)]
        while fetch_counts(ca.host.issuer) != [(3, 3)] and len(first) < MOST_PASSES:
            first.append(await seconds_until_asked(ca))
        assert min(first) >= QUIET_SECONDS
        assert fetch_counts(ca.host.issuer) == [(3, 3)]
        for _ in range(MOST_PASSES):
            if await seconds_until_asked(ca) < QUIET_SECONDS:
                return
        pytest.fail(f"the CA was never asked within {QUIET_SECONDS} s")
