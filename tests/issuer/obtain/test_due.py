"""due: everything from the certificate's own dates."""

from datetime import UTC, datetime, timedelta

import pytest

from issuer.model import Certificate, Due, Identifier, Installed, Lineage
from issuer.obtain.due import due, renew_at
from tests.fakes_deliver import dns

A, B = dns("a.example"), dns("b.example")
LINEAGE = Lineage("web", (A, B))
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def installed(days: float = 90, *identifiers: Identifier, is_self_signed: bool = False) -> Installed:
    end = BEGIN + timedelta(days=days)
    names = frozenset(identifiers or LINEAGE.identifiers)
    return Installed("web", "v1", Certificate(names, "1", "f" * 64, "Fake", BEGIN, end, is_self_signed))


def reason(found: Installed | None, now: datetime = BEGIN, *, was_ca_changed: bool = False) -> str | None:
    made = due(LINEAGE, found, was_ca_changed=was_ca_changed, now=now)
    assert made is None or made == Due(LINEAGE, made.reason)
    return made.reason if made else None


@pytest.mark.parametrize(
    ("days", "after_days"),
    [(90, 60), (47, 47 * 2 / 3), (10, 10 * 2 / 3), (9.999, 9.999 / 2), (6, 3), (1, 0.5)],
)
def test_lifetime_rule_at_its_boundary(days: float, after_days: float) -> None:
    at = BEGIN + timedelta(days=after_days)
    assert abs(renew_at(BEGIN, BEGIN + timedelta(days=days)) - at) < SECOND
    assert reason(installed(days), at - SECOND) is None
    assert reason(installed(days), at + SECOND) is not None


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


def test_another_ca_is_due() -> None:
    assert reason(installed(), was_ca_changed=True) == (
        "the installed certificate was issued by another CA than the settings name"
    )
