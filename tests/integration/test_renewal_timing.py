"""Renewal times of live certificates at a real CA: `renew` and the daemon do what `why` says.

A CA sets when to ask for renewal info again, Pebble after six hours; `hours_later` lets them pass.
"""

import shutil
import signal
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stand.daemon import IssuerDaemon
from stand.host import Host, running_host
from stand.issuer import Issuer
from stand.pebble import OLDEST
from tests.fakes_deliver import FakeCa
from tests.integration.observed import installed, issued, outcomes, replaced, served, version
from wellkeeper_node.certificates import reading
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.model import Identifier, IdentifierType

pytestmark = pytest.mark.integration

NAME = "www.example.org"
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


def window(start: datetime, end: datetime) -> dict[str, Any]:
    return {"suggestedWindow": {"start": start.isoformat(), "end": end.isoformat()}}


def hours_later(issuer: Issuer) -> None:
    """Let time pass until the CA may be asked again."""
    with closing(sqlite3.connect(issuer.state_dir / "state.db")) as connection, connection:
        connection.execute("UPDATE schedules SET ask_at = ask_at - 86400")


async def suggest(host: Host, response: dict[str, Any]) -> None:
    """Stage renewal info for the live certificate."""
    await host.ca.set_renewal_info((host.issuer.live("web") / "cert.pem").read_text(), response)
    hours_later(host.issuer)


async def why(host: Host) -> str:
    return (await host.issuer.run_well("why", "web")).out


def certificate_id(host: Host) -> str | None:
    return reading.read_certificate((host.issuer.live("web") / "cert.pem").read_bytes()).certificate_id


async def test_window_in_the_past_is_followed_at_once_and_the_new_order_names_what_it_replaces(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}, has_proxy=True, nonces_rejected_percent=0) as host:
        await host.issuer.run_well("renew")
        before = certificate_id(host)
        await suggest(host, window(NOW - 2 * DAY, NOW - DAY))
        assert "Due now: time to ask its CA for renewal info" in await why(host)
        finished = await host.issuer.run_well("renew", "--json")
        (report,) = finished.json()["certificates"]
        assert (report["outcome"], report["reason"]) == (
            "served",
            f"the CA's suggested window ended at {NOW - DAY:%Y-%m-%d %H:%M} UTC",
        )
        # Pebble may not understand the second one.
        assert replaced(host)[:2] == [None, before]
        assert await served(host, NAME) == installed(host.issuer, "web")
        assert outcomes(await host.issuer.run_well("renew", "--json")) == {"web": "unchanged"}


async def test_daemon_follows_a_window_in_the_past(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("renew")
        before = installed(host.issuer, "web")
        explained = {"explanationURL": "https://ca.example/incident"}
        await suggest(host, window(NOW - 2 * DAY, NOW - DAY) | explained)
        async with IssuerDaemon(host.issuer) as daemon:
            await daemon.until(certificate="web", stage="verify", event="finished")
            assert "(see https://ca.example/incident)" in daemon.log
        assert await served(host, NAME) == installed(host.issuer, "web") != before


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (
            window(NOW + 10 * DAY, NOW + 20 * DAY),
            f"the CA's suggested window begins at {NOW + 10 * DAY:%Y-%m-%d %H:%M}",
        ),
        (window(NOW + 300 * DAY, NOW + 301 * DAY), "the last part of the lifetime begins at "),
        (window(NOW - DAY, NOW - 2 * DAY), "The CA gave no usable renewal info (RFC 9773) once"),
        ({"suggestedWindow": {"start": "soon"}}, "The CA gave no usable renewal info (RFC 9773) once"),
    ],
    ids=["future", "beyond expiry", "inverted", "malformed"],
)
async def test_other_windows_do_not_cause_a_renewal(folder: Path, response: dict[str, Any], words: str) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("renew")
        await suggest(host, response)
        assert outcomes(await host.issuer.run_well("renew", "--json")) == {"web": "unchanged"}
        reported = await why(host)
        assert words in reported
        assert "Nothing to do before " in reported
        hours_later(host.issuer)
        async with IssuerDaemon(host.issuer) as daemon:
            assert f"the daemon (pid {daemon.pid})" in await why(host)
            assert (await daemon.end(signal.SIGTERM)).exit_code == 0
        assert issued(host.ca) == 1


async def test_certificate_already_replaced_elsewhere_is_still_renewed(folder: Path) -> None:
    """Get alreadyReplaced from the CA, as after restoring a backup, and order once more without `replaces`."""
    async with running_host(folder, {"web": [NAME]}, has_proxy=True, nonces_rejected_percent=0) as host:
        await host.issuer.run_well("renew")
        first, backup = version(host.issuer, "web"), folder / "backup"
        backup.mkdir()
        for path in host.issuer.state_dir.glob("state.db*"):
            shutil.copy2(path, backup)
        before = certificate_id(host)
        await host.issuer.run_well("renew", "--force")
        shutil.copytree(backup, host.issuer.state_dir, dirs_exist_ok=True)
        await CertificateFolders(host.issuer.certificates_dir).switch("web", first)

        finished = await host.issuer.run_well("renew", "--force", "--json")

        assert outcomes(finished) == {"web": "served"}
        assert replaced(host)[-2:] == [before, None]
        assert issued(host.ca) == 3
        assert await served(host, NAME) == installed(host.issuer, "web")


async def test_ca_without_renewal_info_follows_the_lifetime(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}, programs=OLDEST) as host:
        await host.issuer.run_well("renew")
        reported = await why(host)
        assert "two thirds of the lifetime will have passed at " in reported
        assert "The CA has not yet suggested a window (RFC 9773)" in reported
        folders = CertificateFolders(host.issuer.certificates_dir)
        old = FakeCa(datetime.now(UTC) - timedelta(days=61)).pair(Identifier(IdentifierType.DNS, NAME))
        await folders.switch("web", await folders.write("web", old))
        finished = await host.issuer.run_well("renew", "--json")
        (report,) = finished.json()["certificates"]
        assert report["reason"].startswith("two thirds of the lifetime passed at ")
        assert await served(host, NAME) == installed(host.issuer, "web")
