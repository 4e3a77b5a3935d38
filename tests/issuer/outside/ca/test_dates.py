"""The difference between the clocks of a peer and of this host, by the headers of its reply."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from wellkeeper_issuer.outside.ca.dates import ahead_seconds

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Date": "yesterday"}, None),
        ({"Date": "Sun, 01 Mar 2026 12:00:00 GMT"}, 0),
        ({"Date": "Sun, 01 Mar 2026 12:01:30 -0000"}, 90),
        ({"Date": "Sun, 01 Mar 2026 11:00:00 GMT"}, -3600),
        ({"Date": "Sun, 01 Mar 2026 11:00:00 GMT", "Age": "3600"}, 0),
        ({"Date": "Sun, 01 Mar 2026 12:00:00 GMT", "Age": "old"}, 0),
        ({"Date": "Sun, 01 Mar 2026 12:00:00 GMT", "Age": "9" * 400}, 0),
    ],
)
def test_date_of_a_reply_is_compared_with_our_clock(headers: Mapping[str, str], seconds: float | None) -> None:
    assert ahead_seconds(headers, NOW) == seconds
