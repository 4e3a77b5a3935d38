"""Passes with failing or incomplete certificates: one never stops another."""

from dataclasses import replace
from pathlib import Path

import pytest

from stand.host import running_host
from stand.nginx import Site
from tests.integration.observed import (
    asked,
    error_of,
    events,
    fetches,
    installed,
    journal,
    orders,
    outcomes,
    reconfigure,
    reloads,
    served,
    served_unverified,
    tokens,
)

pytestmark = pytest.mark.integration

GOOD = "good.example.org"
# As in stand/pebble.py.
BLOCKED = "blocked-domain.example"


async def test_certificate_without_a_server_block_is_installed_and_its_lines_are_shown(folder: Path) -> None:
    async with running_host(folder, {"good": [GOOD]}) as host:
        names = {"good": [GOOD], "new": ["new.example.org"]}
        host.issuer.configure(replace(host.issuer_settings, certificates=names))
        finished = await host.issuer.run("renew")
        assert finished.exit_code == 0, finished
        live = host.issuer.live("new")
        assert "new: installed, not served yet" in finished.out
        assert f"ssl_certificate     {live}/fullchain.pem;" in finished.out
        assert f"ssl_certificate_key {live}/privkey.pem;" in finished.out
        assert "not served yet  new " in (await host.issuer.run_well("status")).out
        settings, before = host.nginx.settings, asked(host.ca)
        await reconfigure(
            host.nginx, replace(settings, sites=(*settings.sites, Site(("new.example.org",), host.issuer.live("new"))))
        )
        again = await host.issuer.run("renew", "--json")
        assert (again.exit_code, outcomes(again)) == (0, {"good": "unchanged", "new": "served"})
        assert list(again.json()["certificates"][1]["seconds"]) == ["verify"]
        assert (asked(host.ca), reloads(host.nginx)) == (before, 2)
        assert await served(host, "new.example.org") == installed(host.issuer, "new")
        assert "served  new " in (await host.issuer.run_well("status")).out


async def test_rejected_identifier_fails_with_the_cas_detail_and_the_other_certificate_is_delivered(
    folder: Path,
) -> None:
    async with running_host(folder, {"good": [GOOD], "bad": [BLOCKED, "www.example.org"]}) as host:
        placeholder = await served_unverified(host, BLOCKED)
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (1, {"good": "served", "bad": "failed"}), finished
        reported = error_of(finished, "bad")
        assert "rejectedIdentifier" in reported
        assert BLOCKED in reported
        assert await served(host, GOOD) == installed(host.issuer, "good")
        assert await served_unverified(host, BLOCKED) == placeholder
        assert await tokens(host.responder) == 0
        assert [row["lineage"] for row in journal(host.issuer)["deliveries"]] == ["good"]


async def test_name_resolving_elsewhere_fails_with_the_cas_detail(folder: Path) -> None:
    """Resolve the name, for the CA, to an address that refuses connections; the node itself works."""
    async with running_host(folder, {"good": [GOOD], "bad": ["elsewhere.example.org"]}) as host:
        await host.dns.set_addresses("elsewhere.example.org", "127.0.0.66")
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (1, {"good": "served", "bad": "failed"}), finished
        reported = error_of(finished, "bad")
        assert "the CA did not accept elsewhere.example.org: connection" in reported
        assert "A and AAAA records" in reported
        assert await tokens(host.responder) == 0
        await host.dns.set_addresses("elsewhere.example.org", host.http[0])
        repaired = await host.issuer.run("renew", "--retry", "--json")
        assert outcomes(repaired) == {"good": "unchanged", "bad": "served"}, repaired
        assert orders(host.ca) == 3


async def test_certificate_is_issued_with_half_of_the_nonces_rejected(folder: Path) -> None:
    async with running_host(folder, {"good": [GOOD]}, nonces_rejected_percent=50) as host:
        finished = await host.issuer.run("renew")
        assert finished.exit_code == 0, finished
        assert await served(host, GOOD) == installed(host.issuer, "good")


async def test_valid_authorizations_are_not_validated_again(folder: Path) -> None:
    names = {"good": [GOOD, "new.example.org"]}
    async with running_host(folder, {"good": [GOOD]}, authorizations_reused_percent=100) as host:
        await host.issuer.run_well("renew")
        fetched = len(await fetches(host.responder))
        forced = await host.issuer.run_well("renew", "--force", "--log-format", "json")
        assert not {"publish", "validate"} & {stage for _, stage, _ in events(forced)}
        assert len(await fetches(host.responder)) == fetched
        host.issuer.configure(replace(host.issuer_settings, certificates=names))
        await host.issuer.run_well("renew")
        assert {one["host"] for one in (await fetches(host.responder))[fetched:]} == {"new.example.org"}
        assert await served(host, GOOD) == installed(host.issuer, "good")
