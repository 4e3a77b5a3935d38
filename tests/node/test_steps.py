"""Steps: durations of the stages, and messages of failures."""

import asyncio

import pytest

from tests.fakes import FakeClock
from tests.fakes_obtain import FakeProgress
from wellkeeper_issuer.errors import OrderError
from wellkeeper_node.steps import Steps


@pytest.fixture
def progress() -> FakeProgress:
    return FakeProgress()


@pytest.fixture
def steps(clock: FakeClock, progress: FakeProgress) -> Steps:
    return Steps("web", clock, progress)


def test_stages_are_timed_in_the_order_they_ran(steps: Steps, clock: FakeClock, progress: FakeProgress) -> None:
    for stage, seconds in (("order", 2), ("publish", 1), ("order", 3)):
        with steps.step(stage) as step:
            clock.advance(seconds)
            step.detail = "well"
    assert list(steps.seconds.items()) == [("order", 5.0), ("publish", 1.0)]
    assert progress.lines[:2] == ["web order started", "web order finished 2 well"]


def test_own_error_gets_the_name_of_its_certificate(steps: Steps, progress: FakeProgress) -> None:
    error = OrderError("the CA is away")
    with pytest.raises(OrderError), steps.step("order"):
        raise error
    assert error.certificate == "web"
    assert progress.lines[-1] == "web order failed 0 the CA is away"
    assert steps.seconds == {}


def test_name_of_the_certificate_is_not_overwritten(steps: Steps) -> None:
    error = OrderError("words")
    error.certificate = "mail"
    with pytest.raises(OrderError), steps.step("order"):
        raise error
    assert error.certificate == "mail"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (asyncio.CancelledError(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
        (TimeoutError(), "TimeoutError()"),
        (KeyError("newNonce"), "KeyError('newNonce')"),
    ],
    ids=["cancelled", "Ctrl-C", "without a text", "with a text"],
)
def test_other_errors_are_reported_by_type(
    steps: Steps, progress: FakeProgress, error: BaseException, words: str
) -> None:
    with pytest.raises(type(error)), steps.step("order"):
        raise error
    assert progress.lines[-1] == f"web order failed 0 {words}"
