"""A full disk at each file that an agent writes: it is named, nothing is lost, and everything arrives by itself later.

The kernel refuses the first writes of one file, as a file system without space does, and takes the later ones.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.fakes_deliver import dns
from tests.integration.node_hosts import LINEAGE, NAME, NodeHost, node_host
from tests.responder.messages import TOKEN
from wellkeeper_node.agent.report import CertificateState, Report
from wellkeeper_node.certificates import reading

pytestmark = pytest.mark.integration

JTI: Final = "p-0000000000000001"
NO_SPACE: Final = "No space left on device"
# Each thread of the agent counts for itself.
REFUSED: Final = 2


def tracing(call: str, path: Path) -> tuple[str, ...]:
    """Return what runs a program for which these calls fail at first."""
    injected = f"inject={call}:error=ENOSPC:when=1..{REFUSED}"
    return ("strace", "-f", "-qq", "-o", "/dev/null", "-P", str(path), "-e", injected)


def is_served(report: Report, number: int = 1) -> bool:
    found = report.certificates.get(LINEAGE)
    return found is not None and (found.number, found.state) == (number, CertificateState.SERVED)


def words(report: Report) -> str:
    causes = [one.cause or "" for one in report.certificates.values()]
    return " ".join([report.concern or "", *causes])


def leftovers(host: NodeHost) -> list[Path]:
    return [path for path in host.folder.glob("**/.*") if path.name.startswith(".tmp-") or path.suffix == ".tmp"]


@pytest.mark.parametrize("name", ["manifest.jws", "pending.json"])
async def test_state_that_cannot_be_written_is_reported_and_written_later(folder: Path, name: str) -> None:
    async with node_host(folder) as host:
        async with host.agent(entering=tracing("write", folder / f"node/state/.{name}.tmp")):
            before = await host.served()
            leaf = await host.issuer.deliver(1)
            await host.issuer.report(lambda one: f"{name}.tmp: {NO_SPACE}" in words(one))
            assert await host.served() == before
            await host.issuer.report(lambda one: is_served(one) and one.concern is None)
            assert await host.served() == leaf
        assert leftovers(host) == []


@pytest.mark.parametrize("name", ["report_number", "status.json"])
async def test_file_that_only_helps_delays_nothing(folder: Path, name: str) -> None:
    async with node_host(folder) as host:
        async with host.agent(entering=tracing("write", folder / f"node/state/.{name}.tmp")) as agent:
            leaf = await host.issuer.deliver(1)
            await host.issuer.publish(TOKEN, JTI)
            await host.issuer.report(lambda one: is_served(one) and JTI in one.publications)
            assert await host.served() == leaf
            assert f"{name}: {NO_SPACE}" in agent.log
        assert leftovers(host) == []


@pytest.mark.parametrize(
    ("call", "place"),
    [
        pytest.param("write", lambda version: f"archive/{LINEAGE}/.tmp-{version}/fullchain.pem", id="chain"),
        pytest.param("write", lambda version: f"archive/{LINEAGE}/.tmp-{version}/privkey.pem", id="key"),
        pytest.param("mkdir,mkdirat", lambda version: f"archive/{LINEAGE}/.tmp-{version}", id="version"),
        pytest.param("symlink,symlinkat", lambda _: f"live/.tmp-{LINEAGE}", id="live link"),
    ],
)
async def test_certificate_without_space_is_reported_and_installed_later(
    folder: Path, call: str, place: Callable[[str], str]
) -> None:
    async with node_host(folder) as host:
        pair = host.issuer.ca.pair(dns(NAME))
        leaf = reading.read_certificate(pair.chain_pem)
        version = f"{leaf.not_before:%Y%m%dT%H%M%SZ}-{leaf.fingerprint_sha256[:8]}"
        async with host.agent(entering=tracing(call, folder / "certificates" / place(version))):
            before = await host.served()
            await host.issuer.deliver(1, pair)
            report = await host.issuer.report(lambda one: NO_SPACE in words(one))
            assert report.certificates[LINEAGE].state is CertificateState.FAILED
            assert report.certificates[LINEAGE].remedy == "Free some space there: nothing was changed."
            assert await host.served() == before
            await host.issuer.report(is_served)
            assert await host.served() == leaf.fingerprint_sha256
        assert leftovers(host) == []
