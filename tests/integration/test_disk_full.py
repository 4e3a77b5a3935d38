"""A full disk, from the start or from any write on: one clear error, and no certificate is lost."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from stand.host import running_host
from stand.issuer import Issuer
from tests.fakes_deliver import FakeCa, dns
from tests.integration.full_disk import (
    WAYS,
    Way,
    run_on_full_disk,
    run_on_read_only_disk,
    run_on_small_disk,
    run_until_full,
)
from tests.integration.observed import asked, error_of, installed, issued, journal, orders, served, tokens, version
from wellkeeper_node.certificates.folders import CertificateFolders

pytestmark = pytest.mark.integration

NAME: Final = "www.example.org"
# A pass records key and CSR, reservations, URL, chain, schedule, reload and handshake: about 40 writes.
LAST_WRITE: Final = 80


@pytest.mark.parametrize("way", WAYS)
async def test_full_state_directory_is_reported_before_the_ca_is_asked(folder: Path, way: Way) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        questions, before = asked(host.ca), version(host.issuer, "web")
        finished = await run_on_full_disk(host.issuer, host.issuer.state_dir, way, "renew")
        assert (finished.exit_code, finished.out) == (1, ""), finished
        assert f"wellkeeper: cannot lock {host.issuer.state_dir}/state.lock\n" in finished.err
        assert "  No space left on device\n  Free some space there; the next pass resumes.\n" in finished.err
        assert finished.err.count("\n") == 3
        assert (asked(host.ca), version(host.issuer, "web")) == (questions, before)
        await host.issuer.run_well("renew")
        assert (orders(host.ca), issued(host.ca)) == (1, 1)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", ["issuer", "certificates"])
async def test_read_only_disk_is_reported_before_the_ca_is_asked(folder: Path, place: str, way: Way) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        questions, before = asked(host.ca), version(host.issuer, "web")
        finished = await run_on_read_only_disk(host.issuer, folder / place, way, "renew")
        reported = finished.out + finished.err
        assert finished.exit_code == 1, finished
        assert "Read-only file system" in reported
        assert re.search(r"[Mm]ount (it|the file system) read-write", reported)
        assert (asked(host.ca), version(host.issuer, "web")) == (questions, before)
        await host.issuer.run_well("renew", "--retry")
        assert (orders(host.ca), issued(host.ca)) == (1, 1)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", ["issuer", "certificates"])
async def test_lack_of_space_is_reported_before_the_ca_is_asked(folder: Path, place: str, way: Way) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        questions, before = asked(host.ca), version(host.issuer, "web")
        finished = await run_on_small_disk(host.issuer, folder / place, way, "renew")
        assert (finished.exit_code, finished.err) == (1, ""), finished
        where = {"issuer": folder / place, "certificates": folder / place / "archive"}[place]
        assert f"cannot store 1 MiB in {where}, so the CA was not asked\n" in finished.out
        assert "No space left on device\n" in finished.out
        assert (asked(host.ca), version(host.issuer, "web")) == (questions, before)
        await host.issuer.run_well("renew", "--retry")
        assert (orders(host.ca), issued(host.ca)) == (1, 1)


async def test_certificate_without_space_is_kept_and_installed_later(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        place, before = host.issuer.certificates_dir, version(host.issuer, "web")
        await host.issuer.run_well("account", "register")
        finished = await run_on_full_disk(host.issuer, place, Way.KERNEL, "renew", "--json")
        assert finished.exit_code == 1
        reported = error_of(finished, "web")
        assert f"cannot use {place}: No space left on device" in reported
        assert "Free some space there, then run 'wellkeeper renew' again" in reported
        assert version(host.issuer, "web") == before
        assert [path.name for path in (place / "archive/web").iterdir()] == [before]
        await host.issuer.run_well("renew", "--retry")
        assert (orders(host.ca), issued(host.ca)) == (1, 1)
        assert await served(host, NAME) == installed(host.issuer, "web")


async def make_due(issuer: Issuer) -> None:
    """Install a certificate that is eighty days old."""
    folders, old = CertificateFolders(issuer.certificates_dir), FakeCa(datetime.now(UTC) - timedelta(days=80))
    await folders.switch("web", await folders.write("web", old.pair(dns(NAME))))


async def test_disk_that_fills_up_at_any_write_of_the_journal_loses_no_certificate(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("renew")
        for write in range(2, LAST_WRITE, 5):
            await make_due(host.issuer)
            orders_before, issued_before = orders(host.ca), issued(host.ca)
            finished = await run_until_full(host.issuer, write)
            is_order_unknown = [row["order_url"] for row in journal(host.issuer)["attempts"]] == [None]
            if finished.exit_code == 0:
                break
            assert f"{host.issuer.state_dir}/state.db" in finished.out + finished.err
            assert "Traceback" not in finished.err
            assert await tokens(host.responder) == 0
            await host.issuer.run_well("renew", "--retry")
            # The disk filled up between the CA's reply and its record: the same gap as for a process killed there.
            assert orders(host.ca) - orders_before == (2 if is_order_unknown else 1)
            assert issued(host.ca) - issued_before == 1
            assert await served(host, NAME) == installed(host.issuer, "web")
        assert 10 < write < LAST_WRITE - 5
