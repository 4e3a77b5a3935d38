"""due: decision and reason."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes_deliver import dns
from wellkeeper_issuer.model import Due, Lineage
from wellkeeper_issuer.obtain.due import check_seconds, due, explain, latest_at, plan, renew_at, replan
from wellkeeper_issuer.records import Origin, RenewalInfo, Rule, Schedule, Window
from wellkeeper_node.model import Certificate, Identifier, Installed

A, B = dns("a.example"), dns("b.example")
CA, OTHER_CA = "https://ca.example/directory", "https://other.example/directory"
LINEAGE = Lineage("web", (A, B), directory_urls=(CA,))
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def installed(days: float = 90, *identifiers: Identifier, is_self_signed: bool = False) -> Installed:
    end = BEGIN + timedelta(days=days)
    names = frozenset(identifiers or LINEAGE.identifiers)
    return Installed("web", "v1", Certificate(names, "1", "f" * 64, "Fake", BEGIN, end, is_self_signed))


def schedule(found: Installed, window: Window | None = None, *, ca: str = CA, see: str | None = None) -> Schedule:
    """Return a schedule whose chosen time is the middle of its range."""
    made = plan(found, Origin(ca, ""), BEGIN, lambda: 0.5)
    return replan(made, RenewalInfo(window, see), BEGIN, lambda: 0.5) if window else made


def reason(found: Installed | None, now: datetime = BEGIN, plans: Schedule | None = None) -> str | None:
    made = due(LINEAGE, found, plans, now=now)
    assert made is None or made == Due(LINEAGE, made.reason)
    return made.reason if made else None


@pytest.mark.parametrize(
    ("lifetime", "after_days"),
    [(90, 60), (47, 47 * 2 / 3), (10, 10 * 2 / 3), (9.999, 9.999 / 2), (6, 3), (1, 0.5)],
)
def test_lifetime_rule_at_its_boundary(lifetime: float, after_days: float) -> None:
    at = BEGIN + timedelta(days=after_days)
    assert abs(renew_at(BEGIN, BEGIN + timedelta(days=lifetime)) - at) < SECOND
    for plans in (None, schedule(installed(lifetime))):
        assert reason(installed(lifetime), at - SECOND, plans) is None
        assert reason(installed(lifetime), at + SECOND, plans) is not None


def test_due_exactly_at_the_boundary() -> None:
    assert (
        reason(installed(90), BEGIN + timedelta(days=60)) == "two thirds of the lifetime passed at 2026-04-30 00:00 UTC"
    )
    assert reason(installed(6), BEGIN + timedelta(days=3)) == "half of the lifetime passed at 2026-03-04 00:00 UTC"


def test_expired_is_due() -> None:
    assert reason(installed(90), BEGIN + timedelta(days=400)) is not None


def test_nothing_installed() -> None:
    assert reason(None) == "no certificate yet"


def test_placeholder_is_due_whatever_its_dates() -> None:
    assert reason(installed(365, is_self_signed=True)) == "only a self-signed placeholder is installed"


@pytest.mark.parametrize(
    "names", [(A,), (A, B, dns("c.example")), (dns("c.example"),)], ids=["added", "removed", "other"]
)
def test_changed_identifiers_are_due(names: tuple[Identifier, ...]) -> None:
    assert reason(installed(90, *names)) == "the identifiers in the settings changed"


def test_order_of_identifiers_does_not_matter() -> None:
    assert reason(installed(90, B, A)) is None


def test_certificate_of_an_unconfigured_ca_is_due() -> None:
    assert reason(installed(), plans=schedule(installed(), ca=OTHER_CA)) == (
        "the installed certificate was issued by a CA that is no longer configured"
    )


def test_certificate_of_a_listed_or_unknown_ca_is_not_due() -> None:
    lineage = replace(LINEAGE, directory_urls=(OTHER_CA, CA))
    assert due(lineage, installed(), schedule(installed()), now=BEGIN) is None
    assert due(lineage, installed(), schedule(installed(), ca=""), now=BEGIN) is None
    assert due(replace(LINEAGE, directory_urls=()), installed(), schedule(installed()), now=BEGIN) is None


def days(number: float) -> datetime:
    return BEGIN + timedelta(days=number)


@pytest.mark.parametrize(
    ("window", "now", "words"),
    [
        (Window(days(70), days(72)), days(71) - SECOND, None),
        (
            Window(days(70), days(72)),
            days(71),
            "the CA's suggested window began at 2026-05-10 00:00 UTC and ends at 2026-05-12 00:00 UTC",
        ),
        (Window(days(-3), days(-1)), BEGIN, "the CA's suggested window ended at 2026-02-28 00:00 UTC"),
        (Window(days(300), days(301)), days(85.5) - SECOND, None),
        (
            Window(days(300), days(301)),
            days(85.5),
            "the last part of the lifetime begins at 2026-05-25 12:00 UTC, before the CA's suggested window",
        ),
    ],
    ids=["before the chosen time", "in the window", "window over", "window far away", "safety net"],
)
def test_window_decides_unless_the_safety_net_comes_first(window: Window, now: datetime, words: str | None) -> None:
    assert reason(installed(), now, schedule(installed(), window)) == words


def test_future_renewal_is_explained_in_the_future_tense() -> None:
    assert (
        explain(schedule(installed()), BEGIN) == "two thirds of the lifetime will have passed at 2026-04-30 00:00 UTC"
    )
    assert explain(schedule(installed(), Window(days(50), days(51))), BEGIN) == (
        "the CA's suggested window begins at 2026-04-20 00:00 UTC and ends at 2026-04-21 00:00 UTC"
    )


def test_explanation_url_of_the_ca_is_shown() -> None:
    plans = schedule(installed(), Window(days(-3), days(3)), see="https://ca.example/incident")
    assert (reason(installed(), BEGIN, plans) or "").endswith(" UTC (see https://ca.example/incident)")
    over = schedule(installed(), Window(days(-3), days(-1)), see="https://ca.example/incident")
    assert (reason(installed(), BEGIN, over) or "").endswith(" UTC (see https://ca.example/incident)")


def test_revoked_certificate_is_due() -> None:
    revoked = replace(schedule(installed()), rule=Rule.REVOKED, renew_at=days(1))
    assert reason(installed(), days(1), revoked) == "it was revoked at 2026-03-02 00:00 UTC"


def test_certificate_that_was_renewed_after_the_backup_is_due() -> None:
    restored = replace(schedule(installed()), rule=Rule.RESTORED, renew_at=days(1))
    assert reason(installed(), days(1), restored) == (
        "it was renewed after the backup: nodes have a newer version, which this restored host does not"
    )


def test_schedule_of_an_earlier_version_is_ignored() -> None:
    earlier = replace(schedule(installed(), Window(days(-3), days(-1))), version="v0")
    assert reason(installed(), BEGIN, earlier) is None
    assert reason(installed(), days(60), earlier) is not None


@pytest.mark.parametrize(("lifetime", "last"), [(90, 85.5), (45, 42.75), (10, 9.5), (9, 8.1), (6, 5.4), (0.25, 0.225)])
def test_last_part_of_the_lifetime_is_bounded(lifetime: float, last: float) -> None:
    end = days(lifetime)
    assert abs(latest_at(BEGIN, end) - days(last)) < SECOND
    assert latest_at(BEGIN, end) > renew_at(BEGIN, end)


@pytest.mark.parametrize(("lifetime_days", "seconds"), [(90, 43_200), (6, 43_200), (1, 8_640), (1 / 24, 360), (0, 1)])
def test_check_interval_is_a_tenth_of_the_lifetime_and_half_a_day_at_most(lifetime_days: float, seconds: float) -> None:
    assert check_seconds(timedelta(days=lifetime_days)) == pytest.approx(seconds)
