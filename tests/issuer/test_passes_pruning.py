"""Versions that are no longer needed are removed after a renewal, unless nginx uses them."""

import logging
from dataclasses import replace

import pytest

from tests.issuer.hosts import LINEAGES, Host, outcomes
from wellkeeper_issuer.reports import Outcome

WEB = LINEAGES[:1]


@pytest.fixture(name="host")
def _host(host: Host) -> Host:
    """Its nginx names that certificate only."""
    host.nginx.needed = {"a"}
    return host


def versions(host: Host) -> list[str]:
    return list(host.certificates.pairs["a"])


async def renew(host: Host, count: int) -> list[str]:
    """Renew so many times, and return the versions in the order in which they were live."""
    found = []
    for _ in range(count):
        assert outcomes(await host.run(WEB, is_forced=True)) == {"a": Outcome.SERVED}
        found.append(host.certificates.live["a"])
        host.wait(60)
    return found


async def test_last_five_versions_stay(host: Host) -> None:
    made = await renew(host, 8)
    assert versions(host) == made[3:]


async def test_version_that_nginx_names_stays(host: Host) -> None:
    (first,) = await renew(host, 1)
    host.nginx.named_folders = {f"/certificates/archive/a/{first}"}
    made = await renew(host, 8)
    assert versions(host) == [first, *made[3:]]


async def test_version_that_nginx_serves_stays(host: Host) -> None:
    (first,) = await renew(host, 1)
    host.handshakes.stale["a"] = first
    elsewhere = [replace(WEB[0], https_addresses=())]
    for _ in range(8):
        await host.run(elsewhere, is_forced=True)
        host.wait(60)
    assert versions(host)[0] == first
    assert len(versions(host)) == 6


async def test_version_that_is_served_at_an_address_of_its_certificate_stays(host: Host) -> None:
    """nginx's configuration does not show it: a port mapping, or another program."""
    (first,) = await renew(host, 1)
    host.handshakes.elsewhere["a"] = (("127.0.0.1", 8443), first)
    elsewhere = [replace(WEB[0], https_addresses=(("127.0.0.1", 8443),))]
    for _ in range(8):
        await host.run(elsewhere, is_forced=True)
        host.wait(60)
    assert versions(host)[0] == first
    assert len(versions(host)) == 6


async def test_long_expired_versions_go_with_the_next_renewal(host: Host) -> None:
    await renew(host, 2)
    host.wait(121 * 86_400)
    (made,) = await renew(host, 1)
    assert versions(host) == [made]


async def test_configuration_that_cannot_be_read_keeps_every_version_and_fails_nothing(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host.nginx.is_dump_broken = True
    with caplog.at_level(logging.WARNING):
        made = await renew(host, 7)
    assert versions(host) == made
    assert "old versions were not removed: " in caplog.text
