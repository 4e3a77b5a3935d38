"""Accounts at a real CA: registered, changed, deactivated, forgotten by the CA, and shown."""

from dataclasses import replace
from pathlib import Path

import pytest

from stand.host import Host, running_host
from stand.issuer import IssuerSettings
from tests.integration.observed import asked, installed, orders, served
from tests.json_docs import assert_documented

pytestmark = pytest.mark.integration

NAME = "www.example.org"


async def account(host: Host, *arguments: str) -> dict[str, object]:
    found: dict[str, object] = (await host.issuer.run_well("account", *arguments, "--json")).json()
    assert_documented(f"account {arguments[0]}", found)
    return found


async def test_account_is_registered_shown_and_changed(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        shown = (await host.issuer.run_well("account", "show")).out
        assert "  status            none yet\n" in shown
        assert asked(host.ca, "/sign-me-up") == 0
        made = await account(host, "register")
        assert await account(host, "register") == made
        assert asked(host.ca, "/sign-me-up") >= 1
        url = str(made["account_url"])
        (one,) = (await host.issuer.run_well("account", "show", "--json")).json()["cas"]
        assert (one["ca"], one["account_url"], one["status"]) == ("localhost", url, "valid")
        assert (one["has_renewal_info"], one["has_key_change"]) == (True, True)
        assert one["profiles"] == {"default": "7776000 seconds", "short": "518400 seconds"}
        assert (one["requires_external_account"], one["has_external_account"]) == (False, False)
        assert one["caa"] == [f'CAA 0 issue "pebble.example; validationmethods=http-01; accounturi={url}"']
        host.issuer.configure(_with(host, 'contact = ["mailto:a@example.org"]'))
        changed = await account(host, "update")
        assert (changed["status"], changed["contact"]) == ("valid", ["mailto:a@example.org"])
        shown = (await host.issuer.run_well("account", "show")).out
        assert one["caa"][0] in shown
        assert "    short           518400 seconds" in shown.splitlines()


async def test_deactivated_account_is_not_used_and_can_be_replaced(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        unregistered = await host.issuer.run("account", "deactivate", "--yes")
        assert unregistered.exit_code == 1
        assert (
            "no account is registered at the CA localhost\n  Run 'wellkeeper account register'.\n" in unregistered.err
        )
        await host.issuer.run_well("renew")
        fingerprint = installed(host.issuer, "web")
        unsure = await host.issuer.run("account", "deactivate")
        assert unsure.exit_code == 2
        assert "Not a terminal: pass --yes to deactivate" in unsure.err
        assert await account(host, "deactivate", "--yes") == {
            "schema_version": 1,
            "ca": "localhost",
            "status": "deactivated",
        }
        before = orders(host.ca)
        finished = await host.issuer.run("renew", "--force")
        assert finished.exit_code == 1
        assert "our account at the CA localhost was permanently deactivated" in finished.out
        assert "'wellkeeper init', then 'wellkeeper trust --write'" in finished.out
        assert orders(host.ca) == before
        assert await served(host, NAME) == fingerprint
        shown = await host.issuer.run_well("account", "show")
        assert "  status            deactivated\n" in shown.out
        assert "CAA 0 issue" not in shown.out  # it would stop every account from issuing
        for path in (host.issuer.state_dir / "accounts").iterdir():
            path.unlink()
        await host.issuer.run_well("init")
        again = await account(host, "register")
        assert again["account_url"]


async def test_account_deactivated_elsewhere_is_reported(folder: Path) -> None:
    """Deactivate the account without our records, as another owner of the key or the CA may do."""
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("account", "register")
        (record,) = (host.issuer.state_dir / "accounts").glob("*.json")
        known = record.read_text()
        await host.issuer.run_well("account", "deactivate", "--yes")
        record.write_text(known)
        finished = await host.issuer.run("renew")
        assert finished.exit_code == 1
        assert "Run 'wellkeeper account show': the account was permanently deactivated." in (finished.out)


async def test_account_is_registered_again_in_the_same_pass_after_the_ca_lost_it(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("renew")
        (record,) = (host.issuer.state_dir / "accounts").glob("*.json")
        known = record.read_text()
        await host.ca.restart()
        for _ in range(2):
            shown = (await host.issuer.run_well("account", "show")).out
            assert "  status            forgotten by the CA (the next order or 'account register' " in shown
            assert record.read_text() == known
        finished = await host.issuer.run("renew", "--force")
        assert finished.exit_code == 0, finished
        assert record.read_text() != known
        assert await served(host, NAME) == installed(host.issuer, "web")


def _with(host: Host, *more: str) -> IssuerSettings:
    return replace(host.issuer_settings, more=more)
