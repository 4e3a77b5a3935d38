"""Complaints about what others sent: each once per hour, and a limited number of them."""

import logging

import pytest

from tests.fakes import FakeClock
from wellkeeper_node.complaints import MOST, Complaints

_LOG = logging.getLogger("complaints")


def test_complaint_is_repeated_after_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    complaints = Complaints(_LOG, clock)
    for seconds in (0, 3000, 700, 0):
        clock.advance(seconds)
        complaints.say("it is forged")
    assert caplog.messages == ["it is forged"] * 2


def test_complaints_are_limited_in_number(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints(_LOG, FakeClock(), logging.ERROR)
    for number in range(10 * MOST):
        complaints.say(f"record {number} is forged")
    assert len(caplog.messages) == MOST
    assert caplog.records[0].levelno == logging.ERROR


def test_news_are_repeated_but_limited_in_number(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    lines = Complaints(_LOG, clock)
    for _ in range(10 * MOST):
        lines.tell(logging.WARNING, "no contact", ZeroDivisionError("a fault"))
    assert caplog.messages == ["no contact"] * MOST
    assert "ZeroDivisionError: a fault" in caplog.text
    clock.advance(3600)
    lines.tell(logging.ERROR, "no contact")
    assert len(caplog.messages) == MOST + 1
