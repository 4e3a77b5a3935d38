"""doctor on a real host: DNS, CAA, the CA, and what clients get from nginx."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from stand.host import Host, running_host
from tests.integration.observed import asked

pytestmark = pytest.mark.integration

NAME = "www.example.org"


@pytest.fixture
async def host(folder: Path) -> AsyncIterator[Host]:
    """Run a host that serves one certificate."""
    async with running_host(folder, {"web": [NAME]}, nonces_rejected_percent=0) as running:
        await running.issuer.run_well("renew")
        yield running


async def doctor(host: Host, **environment: str) -> Mapping[str, dict[str, Any]]:
    """Return the findings by id."""
    online = {"WELLKEEPER_OFFLINE": "0", "WELLKEEPER_DNS_SERVER": host.dns.address}
    finished = await host.issuer.run("doctor", "--json", environment=online | environment)
    assert finished.err == ""
    return {one["check"]: one for one in finished.json()["findings"]}


def said(found: Mapping[str, dict[str, Any]], *checks: str) -> list[tuple[str, str]]:
    return [(found[one]["verdict"], found[one]["cause"]) for one in checks]


async def test_healthy_host_is_fine(host: Host, folder: Path) -> None:
    root = folder / "root.pem"
    root.write_bytes(await host.ca.issuing_root())
    before = asked(host.ca, "/sign-me-up")
    found = await doctor(host, SSL_CERT_FILE=str(root))
    # Every name of the stand has the loopback's address, which only an internal CA reaches.
    assert said(found, "dns-records") == [("warn", "its addresses are reserved: 127.0.0.1 (loopback)")]
    address = f"127.0.0.1:{host.http[1]}"
    assert said(found, "dns-target", "dns-ipv6", "reach", "caa", "ca-limits", "served-chain") == [
        ("ok", "127.0.0.1: an address of this host or of a node"),
        ("ok", "it has no AAAA record, so a CA uses IPv4"),
        ("ok", f"the challenge location answers at {address}"),
        ("ok", "no CAA records, so every CA may issue"),
        ("ok", "nothing was used of its limits"),
        ("ok", "clients trust what is served at 1 address"),
    ]
    checks = ("ca-directory", "ca-clock", "ca-account", "ca-terms", "ca-profile", "ca-blocks", "served", "certificate")
    assert [found[one]["verdict"] for one in checks] == ["ok"] * len(checks), found
    assert asked(host.ca, "/sign-me-up") == before


async def test_root_that_this_host_lacks_says_nothing_about_a_test_ca(host: Host) -> None:
    found = await doctor(host)
    assert said(found, "served-chain") == [("skipped", "this host does not have the root of its CA")]


async def test_leaf_without_its_chain_is_found(host: Host, folder: Path) -> None:
    root, live = folder / "root.pem", host.issuer.live("web")
    root.write_bytes(await host.ca.issuing_root())
    config = host.nginx.config_path.read_text()
    host.nginx.config_path.write_text(config.replace(f"{live}/fullchain.pem", f"{live}/cert.pem"))
    host.nginx.reload()
    found = await doctor(host, SSL_CERT_FILE=str(root))
    assert said(found, "served") == [("ok", "nginx serves it: 1 handshake")]
    assert found["served-chain"]["verdict"] == "fail"
    assert "is incomplete: unable to get local issuer certificate" in found["served-chain"]["cause"]
    assert f"Set 'ssl_certificate {live}/fullchain.pem;'" in found["served-chain"]["fix"]


async def test_name_that_dns_does_not_resolve_is_named(host: Host) -> None:
    await host.dns.fail(NAME)
    found = await doctor(host)
    servfail = "127.0.0.1 replied SERVFAIL"
    assert said(found, "dns-records", "dns-target", "caa") == [
        ("fail", f"no reply about A and AAAA: {servfail}"),
        ("skipped", "it has no address that a CA can use"),
        ("fail", f"the lookup of CAA records fails, so a CA refuses the order: {servfail}"),
    ]


async def test_alias_to_a_name_without_addresses_is_named(host: Host) -> None:
    await host.dns.set_default_address("")
    await host.dns.set_alias(NAME, "gone.example.net")
    found = await doctor(host)
    cause = "its CNAME target gone.example.net has neither A nor AAAA records"
    assert said(found, "dns-records") == [("fail", cause)]


async def test_ipv6_address_without_a_listener_is_found(host: Host) -> None:
    await host.dns.set_ipv6_addresses(NAME, "::1")
    found = await doctor(host)
    port = host.http[1]
    assert found["dns-ipv6"]["verdict"] == "warn"
    assert found["dns-ipv6"]["place"].startswith(f"{host.nginx.config_path}:")
    assert found["dns-ipv6"]["fix"].startswith(f"Add 'listen [::]:{port};' after {host.nginx.config_path}:")
    assert found["reach"]["verdict"] == "ok"


async def test_default_site_that_answers_over_ipv6_is_found(host: Host) -> None:
    await host.dns.set_ipv6_addresses(NAME, "::1")
    config, port = host.nginx.config_path.read_text(), host.http[1]
    default = f'http {{ server {{ listen [::]:{port} default_server; location / {{ return 404 "default"; }} }}'
    host.nginx.config_path.write_text(config.replace("http {", default, 1))
    host.nginx.reload()
    found = await doctor(host)
    assert found["dns-ipv6"]["verdict"] == "ok"
    assert found["challenge-route-ipv6"]["verdict"] == "fail"
    assert found["reach"] == found["reach"] | {
        "verdict": "skipped",
        "cause": "not reported: challenge-route-ipv6 explains it",
    }


async def test_records_that_allow_another_ca_or_account_are_found(host: Host) -> None:
    account = (await host.issuer.run_well("account", "show", "--json")).json()["cas"][0]["account_url"]
    await host.dns.set_caa("example.org", issue=f"pebble.example; accounturi={account}; validationmethods=http-01")
    assert said(await doctor(host), "caa") == [("ok", "the CAA records at example.org allow localhost")]
    await host.dns.set_caa("example.org", issue="other.example")
    found = await doctor(host)
    assert said(found, "caa") == [
        ("fail", "the records allow other.example, not localhost (pebble.example) (at example.org)")
    ]
    assert found["caa"]["fix"] == "Add or change this DNS record: 'example.org. CAA 0 issue \"pebble.example\"'."
    await host.dns.set_caa("example.org", issue=f"pebble.example; accounturi={account}0")
    found = await doctor(host)
    assert f"accounturi={account}\"'" in found["caa"]["fix"]


async def test_account_that_the_ca_lost_is_found_and_not_registered_again(host: Host) -> None:
    await host.ca.restart()
    found = await doctor(host)
    assert found["ca-account"]["verdict"] == "fail"
    assert "accountDoesNotExist" in found["ca-account"]["cause"]
    assert found["ca-account"]["fix"] == "Run 'wellkeeper account register --ca localhost' if the CA has lost it."
    assert (await doctor(host))["ca-account"]["verdict"] == "fail"


async def test_ca_that_is_down_skips_what_needs_it(host: Host) -> None:
    await host.ca.process.stop()
    found = await doctor(host)
    assert found["ca-directory"]["verdict"] == "fail"
    assert "no answer from the CA localhost" in found["ca-directory"]["cause"]
    assert {found[one]["verdict"] for one in ("ca-clock", "ca-account", "ca-terms", "ca-profile")} == {"skipped"}
    assert found["caa"]["verdict"] == "ok"  # without records, any CA may issue
