"""newOrder: profiles and predecessors only where the CA supports them; refusals with their retry decision."""

import logging
from datetime import timedelta

import pytest

from tests.fakes import FakeClock
from tests.fakes_acme import AcmeServer, problem
from tests.fakes_deliver import dns
from tests.issuer.outside.conftest import authority
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.ca.authority import AcmeAuthority
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_node.errors import Retry

A = dns("a.example")
PROFILES = {"classic": "ninety days", "shortlived": "six days"}


async def test_predecessor_is_named_where_the_directory_has_renewal_info(ca: AcmeAuthority, server: AcmeServer) -> None:
    server.offer(renewalInfo=server.url("/renewal-info"))
    await ca.new_order([A], None, "aki.serial")
    assert server.asked[-1].payload["replaces"] == "aki.serial"


async def test_predecessor_is_not_named_without_renewal_info(ca: AcmeAuthority, server: AcmeServer) -> None:
    await ca.new_order([A], None, "aki.serial")
    assert "replaces" not in server.asked[-1].payload


async def test_configured_profile_is_used_when_the_certificate_has_none(
    server: AcmeServer, accounts: AccountFolder, clock: FakeClock
) -> None:
    async with authority(server.directory_url, accounts, clock, profile="classic") as ca:
        server.offer({"profiles": PROFILES})
        for profile in (None, "shortlived"):
            await ca.new_order([A], profile, None)
        asked = [one.payload["profile"] for one in server.asked if one.path == "/order"]
        assert asked == ["classic", "shortlived"]


async def test_unknown_profile_is_reported_with_the_offered_ones(ca: AcmeAuthority, server: AcmeServer) -> None:
    server.offer({"profiles": PROFILES})
    with pytest.raises(
        OrderError,
        match=r"a CA does not offer the profile 'tls': it offers 'classic' \(ninety days\); 'shortlived' \(s",
    ) as caught:
        await ca.new_order([A], "tls", None)
    assert caught.value.retry is Retry.NEVER
    assert server.paths() == []


async def test_profile_is_not_sent_to_a_ca_without_profiles_and_logged_once(
    ca: AcmeAuthority, server: AcmeServer, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        await ca.new_order([A], "shortlived", None)
    assert "profile" not in server.asked[-1].payload
    assert caplog.messages == ["the CA a CA has no profiles, ignoring profile = 'shortlived'"]
    assert caplog.records[0].levelno == logging.WARNING


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_becomes_a_time(ca: AcmeAuthority, server: AcmeServer, clock: FakeClock, status: int) -> None:
    server.next["/order"].append(problem(status, "rateLimited", Retry_After="7200"))
    with pytest.raises(OrderError, match=r"Retry after 2026-03-01 14:00 UTC") as caught:
        await ca.new_order([A], None, None)
    assert caught.value.retry_at == clock.now() + timedelta(hours=2)


async def test_retry_after_as_a_date_is_relative_to_the_cas_clock(
    ca: AcmeAuthority, server: AcmeServer, clock: FakeClock
) -> None:
    """Use a CA whose clock is a year ahead of ours."""
    dates = {"Date": "Mon, 01 Mar 2027 12:00:00 GMT", "Retry_After": "Mon, 01 Mar 2027 12:00:30 GMT"}
    server.next["/order"].append(problem(503, "serverInternal", **dates))
    with pytest.raises(OrderError) as caught:
        await ca.new_order([A], None, None)
    assert caught.value.retry_at == clock.now() + timedelta(seconds=30)


async def test_retry_after_of_months_is_capped(ca: AcmeAuthority, server: AcmeServer, clock: FakeClock) -> None:
    server.next["/order"].append(problem(429, "rateLimited", Retry_After="9999999"))
    with pytest.raises(OrderError) as caught:
        await ca.new_order([A], None, None)
    assert caught.value.retry_at == clock.now() + timedelta(days=1)


async def test_paused_name_is_reported_with_the_link_and_not_retried(ca: AcmeAuthority, server: AcmeServer) -> None:
    link = "https://portal.example/sfe/v1/unpause?jwt=abc.def.ghi"
    detail = f"Your account is temporarily prevented from requesting certificates for a.example. Please visit: {link}"
    server.next["/order"].append(problem(429, "rateLimited", detail))
    with pytest.raises(OrderError, match="Fix the cause of the failed validations, then open") as caught:
        await ca.new_order([A], None, None)
    assert caught.value.retry is Retry.NEVER
    assert caught.value.remedy.endswith(f"open {link} to resume the name.")


async def test_new_terms_are_reported_with_their_url(ca: AcmeAuthority, server: AcmeServer) -> None:
    answer = problem(403, "userActionRequired", "Terms of service have changed")
    answer.body["instance"] = "https://ca.example/agreement"
    server.next["/order"].append(answer)
    with pytest.raises(OrderError, match=r"see https://ca\.example/agreement.*wellkeeper account update") as got:
        await ca.new_order([A], None, None)
    assert got.value.retry is Retry.NEVER
