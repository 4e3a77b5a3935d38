"""One daemon and a series of faults around it: in the end, everything is served.

Each fault has its own certificate, which the daemon finds in its settings and tries by itself. Where it reports that
it waits (a minute after a first failure, ten after a second, a day after a permanent one, or as the CA asked),
`renew NAME` makes it try at once, except in the last part.
"""

import signal
from pathlib import Path
from typing import Final

import pytest

from stand.fault_proxy import Asked, Forward, Kind, Reply
from stand.faults import problem
from tests.integration.long_day import Day, long_day
from tests.integration.observed import installed, issued, orders, passes_test
from wellkeeper_node.certificates import reading

pytestmark = pytest.mark.integration

SERVED: Final = (
    "early",
    "middle",
    "amnesia",
    "limited",
    "beside",
    "responder",
    "broken",
    "stopped",
    "full",
    "hook",
    "patient",
)


@pytest.mark.timeout(400)
async def test_one_daemon_survives_all_faults(folder: Path) -> None:
    async with long_day(folder, list(SERVED), "early") as day:
        pid = day.daemon.pid
        for fault in (
            ca_away_at_the_start,
            ca_away_in_the_middle,
            ca_lost_its_data,
            ca_rate_limit,
            refused_name_beside_a_valid_one,
            responder_down,
            nginx_configuration_broken,
            nginx_stopped,
            disk_full,
            bad_settings,
            failing_hook,
            recovery_without_commands,
        ):
            await fault(day)
        for name in SERVED:
            await day.is_served(name)
        await day.host.issuer.run_well("status", "--check")
        shown = (await day.host.issuer.run_well("status", "--json")).json()
        assert (shown["daemon"]["pid"], shown["daemon"]["is_restart_needed"]) == (pid, False)
        ended = await day.daemon.end(signal.SIGTERM)
    assert ended.exit_code == 0
    assert "Traceback" not in ended.err


async def ca_away_at_the_start(day: Day) -> None:
    """In its first minute, the daemon looks again soon, and nothing has failed."""
    assert "Connection refused" in await day.reported("info", "waiting: ")
    await day.proxy.come_back()
    await day.obtained("early")
    assert not [one for one in day.daemon.events if "failed" in str(one)]


async def ca_away_in_the_middle(day: Day) -> None:
    """Stop the CA after validation; the order is still usable when it comes back."""

    async def away(_: Asked, __: Forward) -> Reply | None:
        await day.proxy.leave()
        return None

    day.proxy.stage(Kind.FINALIZE, away)
    before = orders(day.host.ca)
    await day.add("middle")
    await day.failed("middle")
    await day.fails_again("middle")
    await day.proxy.come_back()
    await day.retried("middle")  # ten minutes are skipped
    assert orders(day.host.ca) == before + 1


async def ca_lost_its_data(day: Day) -> None:
    """Make the CA forget account and orders, which causes no wait."""
    await day.host.ca.restart()
    await day.add("amnesia")
    await day.obtained("amnesia")


async def ca_rate_limit(day: Day) -> None:
    limited = problem(429, "rateLimited", "too many new orders", Retry_After="3000")
    day.proxy.stage(Kind.NEW_ORDER, limited)
    await day.add("limited")
    assert "too many new orders" in await day.failed("limited")
    await day.waits("limited")
    await day.retried("limited")  # the fifty minutes of Retry-After are skipped


async def refused_name_beside_a_valid_one(day: Day) -> None:
    await day.add("refused", "beside")
    assert "rejectedIdentifier" in await day.failed("refused")
    await day.obtained("beside")
    await day.waits("refused")
    assert "rejectedIdentifier" in await day.fails_again("refused")
    await day.drop("refused")


async def responder_down(day: Day) -> None:
    responder = day.host.responder
    await responder.process.stop()
    await day.add("responder")
    assert "responder" in await day.failed("responder")
    await responder.process.start(responder.is_ready)
    await day.retried("responder")  # a minute is skipped


async def nginx_configuration_broken(day: Day) -> None:
    """Break nginx's configuration; the certificate is delivered without another order once it is fixed."""
    nginx = day.host.nginx
    good = nginx.config_path.read_text()
    nginx.config_path.write_text(f"{good}\nbogus;\n")
    await day.add("broken")
    assert 'unknown directive "bogus"' in await day.failed("broken")
    assert 'unknown directive "bogus"' in await day.fails_again("broken")
    nginx.config_path.write_text(good)
    assert await passes_test(nginx)
    before = orders(day.host.ca)
    await day.retried("broken")  # ten minutes are skipped
    assert orders(day.host.ca) == before


async def nginx_stopped(day: Day) -> None:
    nginx = day.host.nginx
    await nginx.process.stop()
    await day.add("stopped")
    await day.failed("stopped")
    await nginx.process.start(nginx.is_ready)
    await day.retried("stopped")  # a minute is skipped


async def disk_full(day: Day) -> None:
    """Make the state unwritable: the CA is not asked for a certificate that could not be stored."""
    before = orders(day.host.ca)
    with day.full_disk():
        await day.add("full")
        reported = await day.reported("error", "certificate full: failed: ")
        assert f"cannot store 1 MiB in {day.host.issuer.state_dir}, so the CA was not asked: " in reported
        assert orders(day.host.ca) == before
    await day.retried("full")  # half a minute is skipped


async def bad_settings(day: Day) -> None:
    path = day.host.issuer.config_path
    good = path.read_text()
    path.write_text(f"bogus = 1\n{good}")
    day.daemon.signal(signal.SIGHUP)
    reported = await day.daemon.until(level="error", logger="serving")
    assert reported["detail"].startswith("new settings rejected, keeping the current ones: ")
    path.write_text(good)
    day.daemon.signal(signal.SIGHUP)
    await day.daemon.until(level="info", logger="serving")


async def failing_hook(day: Day) -> None:
    """Make the deploy hook fail: the certificate is installed, and the hook runs until it succeeds."""
    day.hook_fails.touch()
    await day.add("hook")
    assert "no such balancer" in await day.failed("hook")
    await day.is_served("hook")
    day.hook_fails.unlink()
    before = orders(day.host.ca)
    await day.retried("hook", "unchanged")  # a minute is skipped
    assert orders(day.host.ca) == before


async def recovery_without_commands(day: Day) -> None:
    """Revoke a certificate elsewhere, then stop the CA; no wait is skipped.

    Not both at once: while the CA is away, no certificate gets renewal info, and it is asked again hours later.
    """
    revoked = reading.read_certificate((day.host.issuer.live("hook") / "cert.pem").read_bytes())
    count = issued(day.host.ca)
    await day.revoke_elsewhere("hook")
    await day.obtained("hook")
    assert installed(day.host.issuer, "hook") != revoked.fingerprint_sha256
    assert revoked.certificate_id in [one.get("replaces") for one in day.orders()]
    await day.proxy.leave()
    await day.add("patient")
    await day.failed("patient")
    await day.proxy.come_back()
    await day.obtained("patient")
    assert issued(day.host.ca) == count + 2
