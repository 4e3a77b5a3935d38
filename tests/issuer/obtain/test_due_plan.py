"""due: schedules, planned from dates and replanned from the CA's renewal info."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import pytest

from tests.fakes_deliver import NOW, dns
from wellkeeper_issuer.obtain.due import is_to_be_asked, latest_at, news, plan, renew_at, replan
from wellkeeper_issuer.records import NoRenewalInfo, Origin, RenewalInfo, Rule, Schedule, Window
from wellkeeper_node.model import Certificate, Installed

ORIGIN: Final = Origin("https://ca.example/directory", "https://ca.example/account/1")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WINDOW: Final = Window(NOW + 50 * DAY, NOW + 52 * DAY)


def installed(lifetime: timedelta = 90 * DAY, certificate_id: str | None = "a.b") -> Installed:
    names = frozenset({dns("a.example")})
    end = NOW + lifetime
    certificate = Certificate(names, "1", "f" * 64, "Fake", NOW, end, False, certificate_id=certificate_id)
    return Installed("web", "v1", certificate)


def middle() -> float:
    return 0.5


def chooser(part: float) -> Callable[[], float]:
    return lambda: part


def planned(lifetime: timedelta = 90 * DAY) -> Schedule:
    return plan(installed(lifetime), ORIGIN, NOW, middle)


def test_first_schedule_follows_the_lifetime_rule() -> None:
    assert planned() == Schedule(
        lineage="web",
        version="v1",
        identifiers=frozenset({dns("a.example")}),
        not_before=NOW,
        not_after=NOW + 90 * DAY,
        directory_url=ORIGIN.directory_url,
        account_url=ORIGIN.account_url,
        certificate_id="a.b",
        rule=Rule.LIFETIME,
        renew_at=NOW + 60 * DAY,
        ask_at=NOW,
    )


@pytest.mark.parametrize(
    ("found", "origin"),
    [(installed(), None), (installed(), Origin("", "")), (installed(certificate_id=None), ORIGIN)],
    ids=["without an origin", "with an empty origin", "without an authority key identifier"],
)
def test_renewal_info_is_not_requested_without_a_ca_or_certificate_id(found: Installed, origin: Origin | None) -> None:
    made = plan(found, origin, NOW, middle)
    assert made.ask_at is None
    assert not is_to_be_asked(made, NOW + DAY)


@pytest.mark.parametrize("lifetime", [90 * DAY, 45 * DAY, 6 * DAY, HOUR])
def test_lifetime_rule_is_spread_over_a_fiftieth_of_the_lifetime(lifetime: timedelta) -> None:
    earliest = plan(installed(lifetime), ORIGIN, NOW, lambda: 0.0).renew_at
    last = plan(installed(lifetime), ORIGIN, NOW, lambda: 1.0).renew_at
    rule = renew_at(NOW, NOW + lifetime)
    assert earliest == rule - lifetime / 100
    assert last == rule + lifetime / 100
    assert last < latest_at(NOW, NOW + lifetime)


def test_time_in_the_window_is_chosen_once_and_uniformly() -> None:
    for part in (0.0, 0.1, 0.5, 1.0):
        at = replan(planned(), RenewalInfo(WINDOW), NOW, chooser(part)).renew_at
        assert at == WINDOW.start + (WINDOW.end - WINDOW.start) * part
    first = replan(planned(), RenewalInfo(WINDOW), NOW, lambda: 0.25)
    again = replan(first, RenewalInfo(WINDOW), NOW + 6 * HOUR, lambda: 0.75)
    assert first.renew_at == again.renew_at == WINDOW.start + 12 * HOUR
    assert (again.rule, again.window) == (Rule.ARI, WINDOW)


def test_moved_window_gets_a_newly_chosen_time() -> None:
    first = replan(planned(), RenewalInfo(WINDOW), NOW, lambda: 0.25)
    moved = Window(NOW - DAY, NOW + DAY)
    assert replan(first, RenewalInfo(moved, "https://ca.example/why"), NOW, middle) == replace(
        first, window=moved, renew_at=NOW, explanation_url="https://ca.example/why"
    )


def test_window_in_the_past_means_now() -> None:
    assert replan(planned(), RenewalInfo(Window(NOW - 2 * DAY, NOW - DAY)), NOW, lambda: 1.0).renew_at < NOW


def test_explanation_is_dropped_when_the_ca_no_longer_sends_it() -> None:
    reported = replan(planned(), RenewalInfo(WINDOW, "https://ca.example/why"), NOW, middle)
    assert replan(reported, NoRenewalInfo("HTTP 500", True), NOW, middle).explanation_url == "https://ca.example/why"
    assert replan(reported, RenewalInfo(WINDOW), NOW, middle).explanation_url is None


@pytest.mark.parametrize("lifetime", [90 * DAY, 6 * DAY])
def test_window_after_the_last_part_of_the_lifetime_is_ignored(lifetime: timedelta) -> None:
    late = Window(NOW + lifetime - HOUR, NOW + lifetime + 40 * DAY)
    assert replan(planned(lifetime), RenewalInfo(late), NOW, middle).renew_at == latest_at(NOW, NOW + lifetime)


@pytest.mark.parametrize("end", [WINDOW.start, WINDOW.start - DAY], ids=["empty", "inverted"])
def test_invalid_window_counts_as_no_answer(end: datetime) -> None:
    answer = RenewalInfo(Window(WINDOW.start, end), "https://ca.example/why", 60)
    assert replan(planned(), answer, NOW, middle) == replace(planned(), ask_at=NOW + 6 * HOUR, unanswered=1)


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [(None, 21_600), (0, 60), (-5, 60), (59.9, 60), (3_600, 3_600), (86_401, 86_400), (10**12, 86_400)],
)
def test_retry_after_is_clamped(retry_after: float | None, seconds: float) -> None:
    answer = RenewalInfo(WINDOW, retry_after_seconds=retry_after)
    assert replan(planned(), answer, NOW, middle).ask_at == NOW + timedelta(seconds=seconds)
    refusal = NoRenewalInfo("HTTP 503", True, retry_after)
    if retry_after is not None:
        assert replan(planned(), refusal, NOW, middle).ask_at == NOW + timedelta(seconds=seconds)


def test_temporary_errors_are_retried_soon_and_then_every_six_hours() -> None:
    schedule, minutes = planned(), []
    for _ in range(8):
        schedule = replan(schedule, NoRenewalInfo("timed out", True), NOW, middle)
        assert schedule.ask_at is not None
        minutes.append((schedule.ask_at - NOW) / timedelta(minutes=1))
    assert minutes == [2, 4, 8, 16, 32, 64, 360, 360]
    assert schedule.renew_at == planned().renew_at
    assert replan(schedule, RenewalInfo(WINDOW), NOW, middle).unanswered == 0


def test_ca_that_is_away_is_asked_again_within_three_quarters_of_an_hour() -> None:
    schedule, minutes = planned(), []
    for _ in range(7):
        schedule = replan(schedule, NoRenewalInfo("away", True, None, True), NOW, lambda: 1.0)
        assert schedule.ask_at is not None
        minutes.append((schedule.ask_at - NOW) / timedelta(minutes=1))
    assert minutes == [4, 7, 13, 25, 46, 46, 46]
    soonest = replan(planned(), NoRenewalInfo("away", True, None, True), NOW, lambda: 0.0).ask_at
    assert soonest == NOW + timedelta(minutes=2)


def test_certificates_that_a_busy_ca_was_not_asked_about_wait_until_it_wants_questions() -> None:
    busy, minute = NoRenewalInfo("busy", True, 3_600), timedelta(minutes=1)
    assert replan(planned(), busy, NOW, middle).ask_at == NOW + HOUR
    others = replace(busy, is_unreached=True)
    assert replan(planned(), others, NOW, lambda: 0.0).ask_at == NOW + HOUR + minute
    assert replan(planned(), others, NOW, lambda: 1.0).ask_at == NOW + HOUR + 3 * minute


def test_thousand_certificates_ask_soon_and_not_together_after_a_ca_was_away() -> None:
    """All would ask when an outage begins; each that asks during it finds the CA away."""
    choose, end = random.Random(5).random, NOW + timedelta(minutes=20)  # noqa: S311 - the same numbers each time
    asked_at = []
    for _ in range(1_000):
        schedule, at = planned(), NOW
        while at < end:
            schedule = replan(schedule, NoRenewalInfo("away", True, None, True), at, choose)
            assert schedule.ask_at is not None
            at = schedule.ask_at
        asked_at.append((at - end).total_seconds())
    assert max(asked_at) < 30 * 60
    per_second = Counter(int(seconds) for seconds in asked_at)
    assert max(per_second.values()) < 20


def test_permanent_errors_are_retried_after_about_six_hours() -> None:
    answer = NoRenewalInfo("HTTP 404")
    assert replan(planned(), answer, NOW, middle).ask_at == NOW + 6 * HOUR
    assert replan(planned(), answer, NOW, lambda: 0.0).ask_at == NOW + 6 * HOUR * 0.95
    assert replan(planned(), answer, NOW, lambda: 1.0).ask_at == NOW + 6 * HOUR * 1.05


def test_ca_without_renewal_info_is_asked_again_in_a_day() -> None:
    assert replan(planned(), None, NOW, middle) == replace(planned(), ask_at=NOW + DAY)


def test_window_is_kept_through_errors() -> None:
    known = replan(planned(), RenewalInfo(WINDOW), NOW, lambda: 0.3)
    for answer in (NoRenewalInfo("HTTP 500", True), NoRenewalInfo("HTTP 404"), None):
        after = replan(known, answer, NOW + DAY, middle)
        assert (after.renew_at, after.window, after.rule) == (known.renew_at, WINDOW, Rule.ARI)


def test_renewal_info_is_requested_when_due_and_never_after_expiry() -> None:
    schedule = replan(planned(), RenewalInfo(WINDOW), NOW + 89 * DAY, middle)
    assert schedule.ask_at == NOW + 89 * DAY + 6 * HOUR
    assert not is_to_be_asked(schedule, schedule.ask_at - HOUR)
    assert is_to_be_asked(schedule, schedule.ask_at)
    assert not is_to_be_asked(schedule, schedule.not_after)


def test_clock_that_was_ahead_delays_nothing() -> None:
    """Derive times from dates and windows alone; ignore a next request time that no pause explains."""
    ahead = NOW + 365 * DAY
    made = plan(installed(), ORIGIN, ahead, middle)
    assert made.renew_at == planned().renew_at
    after = replan(made, RenewalInfo(WINDOW, retry_after_seconds=86_400), ahead, middle)
    assert after.renew_at == replan(planned(), RenewalInfo(WINDOW), NOW, middle).renew_at
    assert is_to_be_asked(after, NOW)


def test_clock_that_is_behind_does_not_renew_early() -> None:
    behind = NOW - 365 * DAY
    made = replan(plan(installed(), ORIGIN, behind, middle), RenewalInfo(WINDOW), behind, middle)
    assert made.renew_at == WINDOW.start + DAY
    assert is_to_be_asked(made, NOW)


URL: Final = "https://ca.example/why"
MOVED: Final = "the CA suggests an earlier renewal, from 2026-02-28 12:00 UTC instead of 2026-04-20 12:00 UTC"


def answered(window: Window | None, url: str | None = None) -> Schedule:
    return replan(planned(), RenewalInfo(window, url), NOW, middle) if window else planned()


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (answered(None), answered(None), None),
        (answered(None), answered(WINDOW), None),
        (answered(WINDOW), answered(WINDOW), None),
        (answered(WINDOW), answered(Window(WINDOW.start + DAY, WINDOW.end + DAY)), None),
        (
            answered(WINDOW),
            answered(Window(NOW - DAY, NOW)),
            MOVED,
        ),
        (
            answered(WINDOW),
            answered(Window(NOW - DAY, NOW), URL),
            f"{MOVED}, see {URL}",
        ),
        (
            answered(WINDOW),
            answered(WINDOW, URL),
            f"the CA suggests renewal from 2026-04-20 12:00 UTC, see {URL}",
        ),
        (answered(WINDOW, URL), answered(WINDOW, URL), None),
    ],
)
def test_moved_window_and_new_explanation_are_reported(before: Schedule, after: Schedule, words: str | None) -> None:
    assert news(before, after) == words
