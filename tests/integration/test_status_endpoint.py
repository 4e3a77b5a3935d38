"""The daemon's status endpoint behind a real nginx, with the unmodified snippet except for its two paths."""

import asyncio
import base64
import os
from dataclasses import replace
from pathlib import Path

import pytest

from stand.daemon import IssuerDaemon
from stand.host import Host, running_host
from stand.status_page import PASSWORD, USER, snippet_for
from tests.responder.http import Reply, ask
from wellkeeper_responder.settings import TcpAddress

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

NAME = "www.example.org"


async def get(host: Host, path: str, method: str = "GET", password: str | None = PASSWORD) -> Reply:
    token = base64.b64encode(f"{USER}:{password}".encode()).decode()
    headers = {"Host": NAME} | ({"Authorization": f"Basic {token}"} if password else {})
    return await ask(TcpAddress(*host.http), method, f"/wellkeeper{path}", headers)


async def failing(host: Host) -> list[str]:
    """Return which of doctor's checks of the endpoint fail, which were all made."""
    found = (await host.issuer.run("doctor", "--offline", "--json")).json()["findings"]
    verdicts = {one["check"]: one["verdict"] for one in found if one["check"].startswith("status-")}
    assert verdicts["status-endpoint"] == "ok", found
    assert verdicts["status-proxy"] == "ok", found
    return [check for check, verdict in verdicts.items() if verdict == "fail"]


async def metrics_once_served(host: Host) -> Reply:
    """Return the metrics once they say so: the daemon records it after the handshake, and keeps a text for seconds."""
    served = b'wellkeeper_certificate_served{certificate="web"} 1.0'
    while served not in (reply := await get(host, "/metrics")).body:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.2)
    return reply


async def test_nginx_asks_for_a_password_before_it_shows_the_status(folder: Path) -> None:
    snippet, socket = snippet_for(folder)
    async with running_host(folder, {"web": [NAME]}) as host:
        web = f"[web]\nlisten = 'unix:{socket}'"
        host.issuer.configure(replace(host.issuer_settings, reload_interval_seconds=0.1, tables=(web,)))
        host.nginx.write(replace(host.nginx.settings, in_server=snippet))
        async with IssuerDaemon(host.issuer) as daemon:
            await daemon.until(certificate="web", stage="verify", event="finished")
            # For a normal user, nginx's workers are the daemon's user.
            assert await failing(host) == (["status-reach"] if os.geteuid() == 0 else [])
            socket.chmod(0o666)  # nginx's workers may have a group of their own, which `group` would name
            assert await failing(host) == []
            assert [(await get(host, "/healthz", password=one)).status for one in (None, "wrong")] == [401, 401]
            assert (await get(host, "/readyz", "POST")).status == 403
            assert (await get(host, "/readyz", "HEAD")).status == 200
            metrics = await metrics_once_served(host)
            assert 'wellkeeper_stage_seconds_count{stage="reload"} 1.0' in metrics.body.decode()
            assert metrics.headers["Cache-Control"] == "no-store"
            (shown,) = (await get(host, "/v1/status")).json()["certificates"]
            assert (shown["name"], shown["state"]) == ("web", "served")
            await moves_with_a_reload(host, socket)


async def moves_with_a_reload(host: Host, socket: Path) -> None:
    """Let the daemon listen elsewhere, then where it cannot: it stays, and status says why."""
    moved, taken = socket.with_name("moved.sock"), socket.with_name("taken")
    taken.mkdir()
    for path in (moved, taken):
        tables = (f"[web]\nlisten = 'unix:{path}'",)
        host.issuer.configure(replace(host.issuer_settings, reload_interval_seconds=0.1, tables=tables))
        await host.issuer.run_well("reload")
        async with asyncio.timeout(60):
            while _exists(socket):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
    async with asyncio.timeout(60):
        while "cannot serve the status pages as [web] says" not in (await host.issuer.run_well("status")).out:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert _exists(moved)


def _exists(path: Path) -> bool:
    return path.exists()
