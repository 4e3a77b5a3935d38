"""Status of certificates that another ACME client obtains."""

from dataclasses import replace
from datetime import datetime

import pytest

from tests.fakes_deliver import NOW
from tests.issuer.status.test_certificate_status import CHECK, DAY, HOUR, LINEAGE, SCHEDULE, rows, status_of
from wellkeeper_issuer.model import UnderWay

EXTERNAL = replace(LINEAGE, directory_urls=(), is_external=True)


@pytest.mark.parametrize("now", [NOW, NOW + 60 * DAY, NOW + 95 * DAY])
def test_external_certificate_is_never_due(now: datetime) -> None:
    planned = replace(SCHEDULE, directory_url="", ask_at=None)
    known = rows(planned, checks={"web": replace(CHECK, at=now)})
    found = status_of(known, now=now, lineage=EXTERNAL)
    assert (found.to_do, found.renew_at) == ("", planned.renew_at)
    assert found.wake_at > now


@pytest.mark.parametrize("version", [None, "placeholder"])
def test_external_certificate_without_a_delivery_is_looked_at_hourly(version: str | None) -> None:
    found = status_of(rows(None, installed=frozenset(), checks={}), version, lineage=EXTERNAL)
    assert found.wake_at == NOW + HOUR


def test_delivered_external_certificate_is_installed_at_once() -> None:
    delivered = UnderWay("", LINEAGE.identifiers, has_certificate_key=True, has_chain=True)
    found = status_of(rows(None, under_way={"web": delivered}), None, lineage=EXTERNAL)
    assert found.to_do == "another client delivered a certificate that is not installed yet"
    assert found.wake_at == NOW
