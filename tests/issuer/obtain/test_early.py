"""Renewal info that brings renewals forward again and again: it is followed at once, then later and later."""

import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from tests.fakes_deliver import NOW, dns
from wellkeeper_issuer.obtain.due import explain, latest_at, news, plan, replan
from wellkeeper_issuer.obtain.early import held_until, is_brought_forward
from wellkeeper_issuer.records import Origin, RenewalInfo, Rule, Schedule, Window
from wellkeeper_node.model import Certificate, Installed

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PAST: Final = RenewalInfo(Window(NOW - 300 * DAY, NOW - 299 * DAY))
SOON: Final = RenewalInfo(Window(NOW + HOUR, NOW + 2 * HOUR))
USUAL: Final = RenewalInfo(Window(NOW + 59 * DAY, NOW + 61 * DAY))


def middle() -> float:
    return 0.5


def schedule(lifetime: timedelta = 90 * DAY, held: timedelta | None = None) -> Schedule:
    leaf = Certificate(frozenset({dns("a.example")}), "1", "f" * 64, "Fake", NOW, NOW + lifetime, False)
    found = plan(Installed("web", "v1", leaf), Origin("https://ca.example/directory", ""), NOW, middle)
    return replace(found, held_until=None if held is None else NOW + held)


def test_first_version_is_brought_forward_at_once() -> None:
    assert replan(schedule(), PAST, NOW, middle).renew_at < NOW


@pytest.mark.parametrize("answer", [PAST, SOON], ids=["past", "soon"])
def test_version_that_replaced_one_early_waits(answer: RenewalInfo) -> None:
    found = replan(schedule(held=DAY), answer, NOW, middle)
    assert (found.rule, found.renew_at) == (Rule.ARI, NOW + DAY)
    assert news(schedule(held=DAY), found) == (
        "the CA suggests an early renewal again, although this certificate just replaced one for that reason; "
        "it is renewed at 2026-03-02 12:00 UTC at the earliest"
    )
    assert explain(found, NOW) == "the CA suggests another early renewal, which waits until 2026-03-02 12:00 UTC"
    assert explain(found, NOW + DAY).endswith("which waited until 2026-03-02 12:00 UTC")


def test_window_that_moves_with_the_clock_is_held_back_and_reported_once() -> None:
    found, reported = schedule(held=DAY), list[str]()
    for hours in range(5):
        answer = RenewalInfo(Window(NOW + hours * HOUR - DAY, NOW + hours * HOUR))
        following = replan(found, answer, NOW + hours * HOUR, middle)
        reported += [message] if (message := news(found, following)) else []
        assert following.renew_at == NOW + DAY
        found = following
    assert len(reported) == 1


def test_usual_window_is_followed_by_a_version_that_is_held() -> None:
    found = replan(replan(schedule(held=DAY), PAST, NOW, middle), USUAL, NOW, middle)
    assert NOW + 59 * DAY < found.renew_at < NOW + 61 * DAY
    assert explain(found, NOW).startswith("the CA's suggested window begins at")


@pytest.mark.parametrize("days", [90, 6, 1])
def test_pauses_double_up_to_a_fifth_of_the_lifetime(days: int) -> None:
    lifetime, now, found, pauses = days * DAY, NOW, schedule(days * DAY), list[timedelta]()
    for _ in range(9):
        followed = replan(found, PAST, now, middle)
        now = max(now, followed.renew_at)
        assert now < latest_at(followed.not_before, followed.not_after)
        until = held_until(followed, lifetime, now)
        assert until is not None
        pauses.append(until - now)
        found = replace(found, not_before=now, not_after=now + lifetime, held_until=until, window=None)
    assert pauses[0] == min(DAY, lifetime / 10)
    assert all(after == min(2 * before, lifetime / 5) for before, after in itertools.pairwise(pauses))


def test_renewal_at_its_usual_time_limits_nothing() -> None:
    found = replan(schedule(held=DAY), USUAL, NOW, middle)
    assert not is_brought_forward(found, found.renew_at)
    assert held_until(found, 90 * DAY, found.renew_at) is None


@pytest.mark.parametrize(
    "earlier",
    [None, schedule(), replan(schedule(), USUAL, NOW, middle), replace(schedule(), rule=Rule.REVOKED, renew_at=NOW)],
    ids=["none", "lifetime rule", "not due", "revoked by us"],
)
def test_renewal_for_another_reason_limits_nothing(earlier: Schedule | None) -> None:
    assert held_until(earlier, 90 * DAY, NOW + DAY) is None
