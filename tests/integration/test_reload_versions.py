"""Reloads of different nginx versions: certificates that seem unchanged, and kept connections."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from stand.load import Load, Target, unverified_tls
from stand.nginx import NginxServer, NginxSettings, Site, nginx_version
from tests.fakes_deliver import FakeCa, dns
from tests.integration.observed import passes_test, reload
from wellkeeper_node.certificates import reading
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.deliver.addresses import plan
from wellkeeper_node.deliver.install import install
from wellkeeper_node.deliver.verify import verify
from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Certificate
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.local import LocalNginx
from wellkeeper_node.probes.probes import NodeProbes

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

NAME: Final = "www.example.org"
# The version that introduced ssl_object_cache_inheritable and keepalive_min_timeout.
INHERITS: Final = (1, 27, 4)
SOME_TIME: Final = 1_700_000_000


class Node:
    """A node with one site whose certificate is installed."""

    def __init__(self, folder: Path, https_port: int) -> None:
        self.ca = FakeCa(datetime.now(UTC).replace(microsecond=0))
        self.folders = CertificateFolders(folder / "certificates")
        self.live = Path(self.folders.live_path("web"))
        https = (("127.0.0.1", https_port),)
        settings = NginxSettings(folder / "public.sock", http=(), https=https, sites=(Site((NAME,), self.live),))
        self.nginx = NginxServer(folder / "nginx", settings)

    async def install(self) -> None:
        """Install another certificate whose files have the same modification times."""
        await install("web", self.ca.pair(dns(NAME)), self.folders)
        for path in self.live.iterdir():
            os.utime(path, (SOME_TIME, SOME_TIME))

    def overwrite(self) -> None:
        """Write another certificate into the same files, which users must not do."""
        pair = self.ca.pair(dns(NAME))
        for name, content in (("fullchain.pem", pair.chain_pem), ("privkey.pem", pair.certificate_key_pem)):
            (self.live / name).write_bytes(content)
            os.utime(self.live / name, (SOME_TIME, SOME_TIME))
        (self.live / "cert.pem").write_bytes(reading.split_chain(pair.chain_pem)[0])

    async def served(self) -> Certificate:
        leaf = await NodeProbes().handshake(self.nginx.settings.https[0], dns(NAME))
        assert leaf is not None
        return leaf

    async def verify(self) -> bool:
        installed = await self.folders.installed("web")
        assert installed is not None
        local = LocalNginx(Control(tuple(self.nginx.argv()), self.nginx.pid_path), SystemClock())
        servers, identifiers = await local.servers(), installed.certificate.identifiers
        own = self.folders.own_prefixes("web")
        wanted = plan(identifiers, servers, lambda path: path.startswith(own), self.nginx.settings.https)
        served = await verify(installed, wanted, str(self.live), NodeProbes(), self.folders.versions)
        return served.is_served


@pytest.fixture
async def node(folder: Path, https_port: int) -> AsyncIterator[Node]:
    node = Node(folder, https_port)
    await node.install()
    async with node.nginx:
        yield node


async def test_installed_certificate_is_served_after_a_reload_despite_equal_file_times(node: Node) -> None:
    before = await node.served()
    await node.install()
    await reload(node.nginx)
    assert await node.served() != before
    assert await node.verify()


async def test_certificate_overwritten_in_place_is_served_only_by_old_versions_and_verify_detects_it(
    node: Node,
) -> None:
    """Reload twice: newer versions take a file with the same inode and time for unchanged each time."""
    before = await node.served()
    node.overwrite()
    await reload(node.nginx)
    await reload(node.nginx)
    if nginx_version() < INHERITS:
        assert await node.served() != before
        assert await node.verify()
    else:
        assert await node.served() == before
        with pytest.raises(VerifyError, match=f"serves serial {before.serial} for {NAME}"):
            await node.verify()


async def test_kept_connections_survive_reloads_where_nginx_supports_it(node: Node, http_port: int) -> None:
    """Keep connections with `keepalive_min_timeout`; without it a reload closes idle ones: see test_load.py."""
    http, https = ("127.0.0.1", http_port), node.nginx.settings.https[0]
    node.nginx.write(replace(node.nginx.settings, http=(http,), in_http="keepalive_min_timeout 2s;"))
    if nginx_version() < INHERITS:
        assert not await passes_test(node.nginx)
        return
    await reload(node.nginx)
    load = Load([Target(*http, NAME), Target(*https, NAME, unverified_tls())])
    async with load.running():
        for number in range(1, 4):
            await load.reach(300 * number)
            before = await node.served()
            await node.install()
            await reload(node.nginx)
            assert await node.served() != before
        await load.reach(1200)
    assert (load.counts.failed, load.counts.retried, load.counts.reasons) == (0, 0, [])
