"""The history after a pass: what was issued, and what this host's nginx serves or refused."""

import pytest

from tests.issuer.hosts import LINEAGES, Host
from tests.issuer.test_passes_wire import renewed
from wellkeeper_node.happened import What

A = LINEAGES[:1]


@pytest.fixture
def host(host: Host) -> Host:
    """Return a host whose nginx needs the certificate `a` only."""
    host.nginx.needed = {"a"}
    return host


def kinds(host: Host) -> list[What]:
    return [one.what for one in host.history.happened]


async def test_certificate_is_issued_and_delivered_once(host: Host) -> None:
    await host.run(A)
    issued, delivered = host.history.happened
    assert (issued.what, issued.subject) == (What.CERTIFICATE_ISSUED, "a")
    installed = await host.certificates.installed("a")
    assert installed is not None
    assert issued.details == {
        "version": installed.version,
        "serial": installed.certificate.serial,
        "ca": host.ca.directory_url,
        "account": await host.ca.account_url(),
        "names": "a.example",
        "reason": "no certificate yet",
        "fetched_by": "192.0.2.1",
        "seconds": "order 0.0, publish 0.0, validate 0.7, finalize 0.0, install 0.0",
    }
    assert (delivered.what, delivered.subject) == (What.CERTIFICATE_DELIVERED, "a")
    assert delivered.details == {"node": "local", "version": installed.version, "state": "served"}
    host.wait(86_400)  # another look at what nginx serves
    await host.run(A)
    assert len(host.history.happened) == 2


async def test_reload_that_is_refused_is_in_the_history_once_and_so_is_its_end(host: Host) -> None:
    host.nginx.refusal = "nginx kept its old workers"
    for _ in range(3):
        await host.run(A)
    host.nginx.refusal = None
    await host.run(A)
    assert kinds(host) == [What.CERTIFICATE_ISSUED, What.CERTIFICATE_REFUSED, What.CERTIFICATE_DELIVERED]
    refused = host.history.happened[1]
    assert "nginx kept its old workers" in refused.details["reason"]
    assert refused.details["version"] == host.history.happened[0].details["version"]


async def test_version_whose_handshakes_are_refused_is_rolled_back(host: Host) -> None:
    await host.run(A)
    before, after = await renewed(host)
    rolled_back = host.history.happened[-1]
    assert kinds(host)[2:] == [What.CERTIFICATE_ISSUED, What.CERTIFICATE_ROLLED_BACK]
    assert rolled_back.details["version"] == after
    assert f"so {before} is live again" in rolled_back.details["reason"]


async def test_next_version_that_is_refused_as_well_is_recorded_too(host: Host) -> None:
    host.nginx.refusal = "no"
    await host.run(A)
    host.wait(60)
    await host.run(A, is_forced=True)
    assert kinds(host) == [What.CERTIFICATE_ISSUED, What.CERTIFICATE_REFUSED] * 2


async def test_order_that_fails_is_no_delivery(host: Host) -> None:
    host.ca.refused["a.example"] = None
    await host.run(A)
    assert kinds(host) == []
