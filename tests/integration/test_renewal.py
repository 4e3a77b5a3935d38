"""Renewals: due certificates, new files, one shared reload, and none without changes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stand.host import Host, running_host
from stand.pebble import Pebble, PebbleSettings
from tests.integration.observed import asked, installed, orders, outcomes, reloads, served, version, workers

pytestmark = pytest.mark.integration

NAME = "www.example.org"


async def reason(host: Host) -> str:
    """Run a pass that must succeed, and return why the only certificate was renewed."""
    finished = await host.issuer.run("renew", "--json")
    assert finished.exit_code == 0, finished
    return str(finished.json()["certificates"][0]["reason"])


async def test_forced_renewal_makes_new_files_and_new_workers_under_the_same_master(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("renew")
        live = host.issuer.live("web")
        fingerprint, first, old = installed(host.issuer, "web"), version(host.issuer, "web"), workers(host.nginx)
        inodes = {path.stat().st_ino for path in live.iterdir()}
        master = host.nginx.pid_path.read_text()
        await host.issuer.run_well("renew", "--force")
        assert version(host.issuer, "web") > first
        assert inodes.isdisjoint(path.stat().st_ino for path in live.iterdir())
        assert await served(host, NAME) == installed(host.issuer, "web") != fingerprint
        assert workers(host.nginx).isdisjoint(old)
        assert host.nginx.pid_path.read_text() == master == f"{host.nginx.process.pid}\n"
        assert (live.resolve().parent / first / "privkey.pem").exists()


async def test_several_certificates_of_one_pass_share_one_reload(folder: Path) -> None:
    names = {"a": ["a.example.org"], "b": ["b.example.org"], "c": ["c.example.org"]}
    async with running_host(folder, names) as host:
        finished = await host.issuer.run("renew", "--json")
        assert outcomes(finished) == dict.fromkeys(names, "served"), finished
        assert reloads(host.nginx) == 1
        assert [await served(host, f"{name}.example.org") for name in names] == [
            installed(host.issuer, name) for name in names
        ]
        only_one = await host.issuer.run_well("renew", "--force", "--json", "b")
        assert outcomes(only_one) == {"b": "served"}
        assert (reloads(host.nginx), orders(host.ca)) == (2, 4)


async def test_short_lived_certificate_is_due_when_its_ca_suggests(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        host.issuer.configure(replace(host.issuer_settings, profile="short"))
        await host.issuer.run_well("renew")
        (reported,) = (await host.issuer.run_well("status", "--json")).json()["certificates"]
        window = {name: datetime.fromisoformat(text) for name, text in reported["schedule"]["window"].items()}
        assert window["start"] <= datetime.fromisoformat(reported["renew_at"]) <= window["end"]
        assert timedelta(days=2) < window["start"] - datetime.now(UTC) < timedelta(days=5)
        why = (await host.issuer.run_well("why", "web")).out
        assert f"the CA's suggested window begins at {window['start']:%Y-%m-%d %H:%M} UTC" in why
        assert "Nothing to do before " in why
        assert (reported["state"], reported["fingerprint_sha256"]) == ("served", installed(host.issuer, "web"))
        before = asked(host.ca)
        assert await reason(host) == "not due"
        assert asked(host.ca) == before


async def test_changed_identifiers_are_renewed_at_once(folder: Path) -> None:
    names = (NAME, "new.example.org")
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("renew")
        host.issuer.configure(replace(host.issuer_settings, certificates={"web": names}))
        assert await reason(host) == "the identifiers in the settings changed"
        assert await served(host, NAME) == installed(host.issuer, "web")


async def test_changed_ca_issues_a_new_certificate(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("renew")
        (folder / "other").mkdir()
        async with Pebble(folder / "other", PebbleSettings(host.dns.address, host.http[1])) as other:
            moved = replace(host.issuer_settings, directory_url=other.directory_url, ca_bundle=other.ca_bundle)
            host.issuer.configure(moved)
            await host.issuer.make_keys()
            assert "a CA that is no longer configured" in await reason(host)
            assert await served(replace(host, ca=other), NAME) == installed(host.issuer, "web")
            assert await reason(host) == "not due"
            assert orders(other) == 1
