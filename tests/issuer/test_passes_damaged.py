"""Live files that are missing or damaged: the archive repairs them, and the CA is asked only if it cannot."""

from dataclasses import replace

import pytest

from tests.fakes_deliver import NOW, FakeCa, dns
from tests.issuer.hosts import LINEAGES, Host
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.obtain.due import plan
from wellkeeper_issuer.records import Origin
from wellkeeper_issuer.reports import Mode, Outcome
from wellkeeper_issuer.upkeep.restoring import can_stand_in
from wellkeeper_node.certificates import reading
from wellkeeper_node.model import Installed, KeyType

ONLY = LINEAGES[:1]


@pytest.fixture
def host(host: Host) -> Host:
    """Return a host whose nginx needs the certificate `a` only."""
    host.nginx.needed = {"a"}
    return host


async def damage(host: Host) -> str:
    """Make the live version of `a` unreadable; return its name."""
    version = host.certificates.live["a"]
    del host.certificates.pairs["a"][version]
    host.certificates.without_pair.add(("a", version))
    return version


async def test_older_version_is_live_and_delivered_again_without_an_order(host: Host) -> None:
    await host.run(ONLY)
    older = host.certificates.live["a"]
    host.wait(60)
    await host.run(ONLY, is_forced=True)
    damaged = await damage(host)
    report = (await host.run(ONLY, mode=Mode.SCHEDULED))["a"]
    assert report.outcome is Outcome.SERVED
    assert report.reason == f"the live files are missing or damaged; version {older} from the archive is live instead"
    assert host.certificates.live["a"] == older != damaged
    assert host.ca.calls == []
    assert host.nginx.reloads[-1] == {"a": older}


async def test_certificate_is_obtained_again_when_the_archive_has_no_other(host: Host) -> None:
    await host.run(ONLY)
    damaged = await damage(host)
    report = (await host.run(ONLY, mode=Mode.SCHEDULED))["a"]
    assert report.outcome is Outcome.SERVED
    assert host.certificates.live["a"] != damaged
    assert host.ca.calls


async def test_older_version_that_is_due_is_live_until_the_new_one_is(host: Host) -> None:
    await host.run(ONLY)
    host.wait(70 * 86_400)
    await host.run(ONLY)
    damaged = await damage(host)
    report = (await host.run(ONLY))["a"]
    assert report.outcome is Outcome.SERVED
    assert len({*host.nginx.reloads[-1].values(), damaged}) == 2
    assert host.ca.calls


CHAIN = FakeCa().pair(dns("a.example")).chain_pem
GOOD = Installed("a", "v1", reading.read_certificate(CHAIN))
WANTED = Lineage("a", (dns("a.example"),))


def test_valid_version_that_matches_the_settings_can_stand_in() -> None:
    assert can_stand_in(GOOD, WANTED, None, NOW)
    assert can_stand_in(replace(GOOD, has_key=False), replace(WANTED, csr_path="/a.csr"), None, NOW)


@pytest.mark.parametrize(
    ("installed", "lineage"),
    [
        (GOOD, replace(WANTED, identifiers=(dns("b.example"),))),
        (GOOD, replace(WANTED, key_type=KeyType.RSA_2048)),
        (GOOD, replace(WANTED, key_type=KeyType.ECDSA_P384)),
        (GOOD, replace(WANTED, csr_path="/a.csr")),
        (replace(GOOD, has_key=False), WANTED),
        (replace(GOOD, certificate=replace(GOOD.certificate, not_after=NOW)), WANTED),
        (replace(GOOD, certificate=replace(GOOD.certificate, is_self_signed=True)), WANTED),
        (replace(GOOD, certificate=replace(GOOD.certificate, issued_by="(STAGING) Fake")), WANTED),
    ],
    ids=[
        "other names",
        "other key type",
        "other curve",
        "key on this host",
        "key elsewhere",
        "expired",
        "placeholder",
        "of a staging CA",
    ],
)
def test_version_that_does_not_match_cannot_stand_in(installed: Installed, lineage: Lineage) -> None:
    assert not can_stand_in(installed, lineage, None, NOW)


@pytest.mark.parametrize(("version", "is_wanted"), [("v1", False), ("v2", True)])
def test_version_of_a_ca_that_is_no_longer_configured_cannot_stand_in(version: str, is_wanted: bool) -> None:
    recorded = plan(replace(GOOD, version=version), Origin("https://old.example/directory", ""), NOW, lambda: 0.5)
    configured = replace(WANTED, directory_urls=("https://ca.example/directory",))
    assert can_stand_in(GOOD, configured, recorded, NOW) is is_wanted
    assert can_stand_in(GOOD, replace(WANTED, directory_urls=(recorded.directory_url,)), recorded, NOW)
