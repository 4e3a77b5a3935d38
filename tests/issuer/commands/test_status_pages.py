"""The pages of the daemon's status endpoint."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.issuer.commands.workers import WorkerFactory
from tests.json_docs import assert_documented
from tests.metrics_page import documented, exported
from tests.promtool import complaints
from tests.responder.http import Reply, ask
from wellkeeper_issuer.commands.status_endpoint import StatusEndpoint
from wellkeeper_issuer.outside.state.state import open_state
from wellkeeper_issuer.ports.fleet import EnrolledNode
from wellkeeper_issuer.service.serving import Service
from wellkeeper_issuer.status.activity import Activity
from wellkeeper_node.certificates.layout import CHAIN_FILE, KEY_FILE
from wellkeeper_responder.settings import UnixAddress

SECTIONS = ("certificates", "the daemon", "nodes")


@pytest.fixture
async def service(folder: Path) -> AsyncIterator[Service]:
    """Run a daemon with the endpoint at status.sock."""
    factory = WorkerFactory(folder)
    factory.write("a.example", more=f"[fleet]\nlisten = ['10.0.0.1:8404']\n[web]\nlisten = 'unix:{folder}/status.sock'")
    async with factory.service() as service, StatusEndpoint(service, Activity()).serving():
        yield service


def sockets(folder: Path) -> list[Path]:
    return list(folder.glob("*.sock"))


async def get(folder: Path, path: str) -> Reply:
    return await ask(UnixAddress(folder / "status.sock"), "GET", path, {"Host": "localhost"})


@pytest.mark.usefixtures("service")
async def test_metrics_are_those_of_the_disk_and_of_the_daemon(folder: Path) -> None:
    reply = await get(folder, "/metrics")
    text = reply.body.decode()
    assert (reply.status, reply.headers["Content-Type"].partition(";")[0]) == (200, "text/plain")
    assert exported(text) == sorted(name for section in SECTIONS for name in documented(f"Metrics of {section}"))
    assert 'wellkeeper_certificate_state{certificate="a.example",state="missing"} 1.0' in text
    assert complaints(text) == ""


@pytest.mark.usefixtures("service")
async def test_status_is_that_of_the_command(folder: Path) -> None:
    reply = await get(folder, "/v1/status")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
    assert_documented("status", reply.json())
    assert [one["name"] for one in reply.json()["certificates"]] == ["a.example"]
    assert reply.json()["is_reload_needed"] is False


async def test_metrics_lack_ephemeral_nodes_that_are_gone_like_those_of_the_command(
    service: Service, folder: Path
) -> None:
    since = datetime.now(UTC) - timedelta(hours=2)
    service.settings.state_dir.mkdir(exist_ok=True)
    async with open_state(service.settings.state_dir / "state.db", may_write=True) as state:
        for name, is_ephemeral in (("web2", False), ("web3", True)):
            await state.fleet.record_node(EnrolledNode(name, "s", "x", ("*",), True, since, is_ephemeral))
    text = (await get(folder, "/metrics")).body.decode()
    assert ('node="web2"' in text, 'node="web3"' in text) == (True, False)
    assert [one["name"] for one in (await get(folder, "/v1/status")).json()["nodes"]] == ["web2", "web3"]


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize(
    ("path", "status", "heading"),
    [
        ("/certificate?name=a.example", 200, "a.example"),
        ("/certificate?name=b.example", 404, "No such certificate"),
        ("/nodes", 200, "Nodes and responders"),
        ("/limits", 200, "Limits of CAs"),
        ("/rehearsals", 200, "Rehearsals"),
        ("/settings", 200, "Settings"),
    ],
)
async def test_browser_gets_the_other_pages(folder: Path, path: str, status: int, heading: str) -> None:
    page = await get(folder, path)
    assert (page.status, f"<h1>{heading}</h1>" in page.body.decode()) == (status, True)


@pytest.mark.usefixtures("service")
async def test_browser_gets_pages_with_their_style(folder: Path) -> None:
    page = await get(folder, "/?state=missing")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "<title>1 of 1 certificate needs attention · Wellkeeper</title>" in page.body.decode()
    files = [await get(folder, path) for path in ("/style.css", "/icon.svg")]
    assert [one.headers["Content-Type"] for one in files] == ["text/css; charset=utf-8", "image/svg+xml"]


async def test_daemon_is_healthy_while_it_begins_again_but_not_ready(service: Service, folder: Path) -> None:
    assert [(await get(folder, path)).status for path in ("/healthz", "/readyz")] == [200, 200]
    service.is_ready.clear()
    assert [(await get(folder, path)).status for path in ("/healthz", "/readyz")] == [200, 503]


async def test_state_that_cannot_be_read_is_reported(folder: Path) -> None:
    factory = WorkerFactory(folder)
    factory.write("a.example", more=f"[web]\nlisten = 'unix:{folder}/status.sock'")
    async with factory.service() as service:
        service.settings.state_dir.mkdir(exist_ok=True)
        (service.settings.state_dir / "state.db").write_text("no database")
        async with StatusEndpoint(service, Activity()).serving():
            for path in ("/metrics", "/"):
                reply = await get(folder, path)
                assert (reply.status, "state.db" in reply.body.decode()) == (503, True)


async def test_disk_is_read_before_the_first_request(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    factory = WorkerFactory(folder)
    factory.write("a.example", more=f"[web]\nlisten = 'unix:{folder}/status.sock'")
    damaged = folder / "certificates/archive/a.example/20260101T000000Z-00000000"
    damaged.mkdir(parents=True)
    for name in (CHAIN_FILE, KEY_FILE):
        (damaged / name).write_text("no PEM")
    (folder / "certificates/live").mkdir()
    (folder / "certificates/live/a.example").symlink_to(f"../archive/a.example/{damaged.name}")
    async with factory.service() as service, StatusEndpoint(service, Activity()).serving(), asyncio.timeout(60):
        while "cannot read the certificate" not in caplog.text:  # noqa: ASYNC110 - a thread
            await asyncio.sleep(0.01)


async def test_renewals_go_on_without_the_endpoint(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "status.sock").touch()
    factory = WorkerFactory(folder)
    factory.write("a.example", more=f"[web]\nlisten = 'unix:{folder}/status.sock'")
    with caplog.at_level(logging.ERROR):
        async with factory.service() as service:
            endpoint = StatusEndpoint(service, Activity())
            assert endpoint.to_json() == {"endpoint_problem": None, "endpoint_failure": None}
            async with endpoint.serving():
                assert service.is_ready.is_set()
                assert endpoint.to_json()["endpoint_failure"] == {
                    "cause": f"cannot listen on unix:{folder}/status.sock: the file exists and is not a socket. "
                    "Move it away",
                    "fix": "Then run 'wellkeeper reload'.",
                }
    assert "cannot serve the status pages as [web] says: cannot listen on unix:" in caplog.text


async def test_nothing_listens_by_default(folder: Path) -> None:
    factory = WorkerFactory(folder)
    factory.write("a.example")
    async with factory.service() as service, StatusEndpoint(service, Activity()).serving():
        assert sockets(folder) == []
