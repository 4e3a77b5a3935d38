"""Retry-After: both forms, missing and invalid."""

import email.utils
from datetime import datetime, timedelta

import pytest

from tests.fakes_deliver import NOW
from wellkeeper_issuer.outside.ca.retry_after import retry_after_seconds


def http_date(at: datetime) -> str:
    return email.utils.format_datetime(at, usegmt=True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 120 ", 120),
        ("86400", 86_400),
        ("86401", 86_400),
        ("9" * 400, 86_400),
        ("9" * 5_000, 86_400),
        (http_date(NOW + timedelta(seconds=90)), 90),
        (http_date(NOW - timedelta(days=900)), 0),
        ("Sun, 01 Mar 2026 12:01:00 -0000", 60),
        ("Sun, 01 Mar 2026 12:01:00", 60),
        ("Sun, 01 Mar 2026 13:01:00 +0100", 60),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("Fri, 31 Dec 9999 23:59:59 -1200", 86_400),
        ("Sat, 01 Jan 0001 00:00:00 +1200", 0),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("1e3", None),
        ("soon", None),
        ("nan", None),
        ("²", None),
        ("٣", None),
        ("Mon, 31 Feb 2026 00:00:00 GMT", None),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
        ("Mon, 01 Jan 999999999999999999999 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str, seconds: float | None) -> None:
    assert retry_after_seconds({"Retry-After": value}, NOW) == seconds


def test_invalid_retry_after_is_ignored() -> None:
    assert retry_after_seconds({}, NOW) is None


@pytest.mark.parametrize("hours", [-5, 0, 5])
def test_date_is_relative_to_the_date_of_the_reply(hours: int) -> None:
    theirs = NOW + timedelta(hours=hours)
    headers = {"Retry-After": http_date(theirs + timedelta(minutes=10)), "Date": http_date(theirs)}
    assert retry_after_seconds(headers, NOW) == 600
    headers["Date"] = "nonsense"
    assert retry_after_seconds(headers, theirs) == 600
