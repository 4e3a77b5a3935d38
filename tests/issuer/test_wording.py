"""Wording that many messages share."""

from datetime import UTC, datetime

from wellkeeper_issuer.wording import format_exact_time, format_time

AT = datetime(2026, 3, 1, 4, 5, 59, 999_999, tzinfo=UTC)


def test_times_are_cut_off_not_rounded() -> None:
    assert (format_time(AT), format_exact_time(AT)) == ("2026-03-01 04:05 UTC", "2026-03-01 04:05:59 UTC")
