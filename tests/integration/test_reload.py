"""Reloads of a real nginx, successful and refused, with certificates on a real disk."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stand.nginx import NginxServer, NginxSettings, Site
from tests.fakes_deliver import FakeCa, dns
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.deliver.addresses import plan
from wellkeeper_node.deliver.install import install
from wellkeeper_node.deliver.reload import reload
from wellkeeper_node.deliver.verify import verify
from wellkeeper_node.errors import ReloadError, VerifyError
from wellkeeper_node.model import Flip, Reloaded, Served
from wellkeeper_node.nginx import masters, processes
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.local import LocalNginx
from wellkeeper_node.probes.probes import NodeProbes

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

NAMES = ("a.example", "b.example", "c.example")
CLOCK = SystemClock()


@dataclass
class Host:
    """One nginx with a site and a live placeholder for each name, and the delivery to it."""

    server: NginxServer
    folders: CertificateFolders
    nginx: LocalNginx
    control: Control
    ca: FakeCa

    @property
    def https(self) -> tuple[tuple[str, int], ...]:
        return self.server.settings.https

    async def install(self, *names: str) -> list[Flip]:
        return [await install(name, self.ca.pair(dns(name)), self.folders) for name in names]

    async def reload(self, flips: list[Flip]) -> Reloaded:
        return await reload(flips, self.nginx, self.folders, CLOCK)

    async def verify(self, name: str) -> Served:
        installed = await self.folders.installed(name)
        assert installed is not None
        servers = await self.nginx.servers()
        identifiers = installed.certificate.identifiers
        own = self.folders.own_prefixes(name)
        wanted = plan(identifiers, servers, lambda path: path.startswith(own), self.https)
        return await verify(installed, wanted, self.folders.live_path(name), NodeProbes(), self.folders.versions)

    async def served(self, name: str) -> str:
        """Return the served version, whose directory name ends with the fingerprint."""
        leaf = await NodeProbes().handshake(self.https[0], dns(name))
        assert leaf is not None
        return leaf.fingerprint_sha256[:8]

    def live(self, name: str) -> str:
        return Path(self.folders.live_path(name)).readlink().name

    def overwrite_key(self, name: str, key_pem: bytes) -> None:
        Path(self.folders.live_path(name), "privkey.pem").write_bytes(key_pem)

    def break_(self, old: str = "events", new: str = "oops;\nevents") -> None:
        path = self.server.config_path
        path.write_text(path.read_text().replace(old, new, 1))


@asynccontextmanager
async def running(folder: Path, port: int, settings: Callable[[NginxSettings], NginxSettings]) -> AsyncIterator[Host]:
    ca, folders = FakeCa(datetime.now(UTC).replace(microsecond=0)), CertificateFolders(folder / "certificates")
    for name in NAMES:
        await install(name, ca.pair(dns(name)), folders)
    sites = tuple(Site((name,), Path(folders.live_path(name))) for name in NAMES)
    plain = NginxSettings(folder / "public.sock", http=(), https=(("127.0.0.1", port),), sites=sites)
    server = NginxServer(folder / "nginx", settings(plain))
    control = Control(tuple(server.argv()), server.pid_path)
    async with server:
        yield Host(server, folders, LocalNginx(control, CLOCK), control, ca)


@pytest.fixture
async def host(folder: Path, http_port: int, https_port: int) -> AsyncIterator[Host]:
    async with running(folder, https_port, lambda plain: replace(plain, http=(("127.0.0.1", http_port),))) as started:
        yield started


async def test_one_reload_delivers_all_and_handshakes_prove_it(host: Host) -> None:
    before = await host.served("a.example")
    flips = await host.install(*NAMES)
    assert await host.served("a.example") == before
    reloaded = await host.reload(flips)
    assert reloaded.rolled_back == ()
    assert reloaded.seconds is not None
    assert [(await host.verify(name)).is_served for name in NAMES] == [True] * 3
    assert host.server.errors().count("SIGHUP) received") == 1


async def test_reload_by_command_is_proven_the_same_way(host: Host) -> None:
    command = (*host.control.command, "-s", "reload")
    nginx = LocalNginx(replace(host.control, reload_command=command), CLOCK)
    flips = await host.install("a.example")
    await reload(flips, nginx, host.folders, CLOCK)
    assert (await host.verify("a.example")).is_served


async def test_failing_reload_command_is_reported_with_its_output(host: Host) -> None:
    nginx = LocalNginx(replace(host.control, reload_command=("sh", "-c", "echo no polkit; exit 4")), CLOCK)
    with pytest.raises(ReloadError, match="failed with exit code 4: no polkit"):
        await nginx.reload(await nginx.test())


async def test_reload_command_without_effect_is_an_error(host: Host) -> None:
    nginx = LocalNginx(replace(host.control, reload_command=("true",)), CLOCK)
    with pytest.raises(ReloadError, match=r"did not load .* no reason found; look for \[emerg\] lines in .*error\.log"):
        await nginx.reload(await nginx.test())


async def test_taken_port_is_a_refusal_with_nginxs_message(host: Host) -> None:
    """Take a port, of which `nginx -t` and `nginx -s reload` do not complain."""
    before = await host.served("a.example")
    flips = await host.install("a.example")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = host.server.settings
        host.server.write(replace(settings, http=(*settings.http, ("127.0.0.1", port))))
        assert (await host.nginx.test()).passed
        with pytest.raises(ReloadError, match=rf"did not load.*bind\(\) to 127\.0\.0\.1:{port} failed.*Fix it"):
            await host.reload(flips)
        assert await host.served("a.example") == before
    await host.reload(flips)
    assert (await host.verify("a.example")).is_served


async def test_changed_zone_passes_the_test_but_is_a_refusal(folder: Path, https_port: int) -> None:
    zone = "limit_req_zone $binary_remote_addr zone=z:1m rate=1r/s;"
    async with running(folder, https_port, lambda plain: replace(plain, in_http=zone)) as host:
        flips = await host.install("a.example")
        host.server.write(replace(host.server.settings, in_http=zone.replace("$binary_remote_addr", "$uri")))
        assert (await host.nginx.test()).passed
        with pytest.raises(ReloadError, match=r'limit_req "z" uses the "\$uri" key while previously'):
            await host.reload(flips)


async def test_fault_elsewhere_is_reported_and_the_next_pass_only_delivers(host: Host) -> None:
    original = host.server.config_path.read_text()
    flips = await host.install(*NAMES)
    host.break_()
    with pytest.raises(ReloadError, match=r'with the previous certificates too: .*unknown directive "oops"'):
        await host.reload(flips)
    assert [host.live(flip.lineage) for flip in flips] == [flip.after for flip in flips]
    host.server.config_path.write_text(original)
    await host.reload(flips)
    assert [(await host.verify(name)).is_served for name in NAMES] == [True] * 3


async def test_culprit_in_the_batch_is_rolled_back_and_the_rest_is_served(host: Host) -> None:
    before = await host.served("b.example")
    flips = await host.install(*NAMES)
    foreign = host.ca.pair(dns("b.example")).certificate_key_pem
    host.overwrite_key("b.example", foreign)
    reloaded = await host.reload(flips)
    (rolled_back,) = reloaded.rolled_back
    assert rolled_back.flip.lineage == "b.example"
    assert "key values mismatch" in rolled_back.words
    assert await host.served("b.example") == before
    assert [(await host.verify(name)).is_served for name in ("a.example", "c.example")] == [True] * 2


async def test_old_worker_with_a_slow_client_does_not_delay_the_reload(host: Host) -> None:
    reader, writer = await asyncio.open_connection(*host.server.settings.http[0])
    writer.write(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\nGET / HTTP/1.1\r\nHost: a.exam")
    await reader.readuntil(b"hello\n")  # a worker has the second request, too
    await host.reload(await host.install("a.example"))
    # The other old worker may end a moment later.
    master = masters.find_master(host.server.pid_path)
    while len((workers := processes.workers(master)).leaving) != 1:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)
    assert len(workers.accepting) == 2
    assert (await host.verify("a.example")).is_served
    writer.close()


async def test_nginx_that_does_not_run_is_reported(host: Host) -> None:
    flips = await host.install("a.example")
    await host.server.process.stop()
    with pytest.raises(ReloadError, match=r"nginx\.pid does not exist\. Start nginx"):
        await host.reload(flips)


async def test_master_that_ends_during_the_reload_is_reported(host: Host) -> None:
    nginx = LocalNginx(replace(host.control, reload_command=("sh", "-c", f"kill -9 {host.server.process.pid}")), CLOCK)
    tested = await nginx.test()
    with pytest.raises(ReloadError, match="ended or was replaced during the reload"):
        await nginx.reload(tested)


async def test_binary_upgrade_in_progress_is_reported(host: Host) -> None:
    pid_path = host.server.pid_path
    pid_path.with_name("nginx.pid.oldbin").write_text(pid_path.read_text())
    with pytest.raises(ReloadError, match="binary upgrade of nginx is in progress"):
        await host.nginx.reload(await host.nginx.test())


async def test_missing_nginx_is_reported(host: Host) -> None:
    nginx = LocalNginx(replace(host.control, command=("/no/such/nginx",)), CLOCK)
    with pytest.raises(ReloadError, match=r"'/no/such/nginx' does not exist.*nginx\.command"):
        await nginx.test()


async def test_configuration_mentions_used_paths_but_not_commented_ones(host: Host) -> None:
    assert await host.nginx.mentions(f"{host.folders.live_path('a.example')}/fullchain.pem")
    assert not await host.nginx.mentions(f"{host.folders.live_path('d.example')}/fullchain.pem")
    host.break_("events", "# ssl_certificate /commented/fullchain.pem;\nevents")
    assert not await host.nginx.mentions("/commented/fullchain.pem")


async def test_certificate_that_no_server_block_names_is_not_served_yet(host: Host) -> None:
    flips = await host.install("d.example")
    await host.reload(flips)
    served = await host.verify("d.example")
    assert not served.is_served
    assert f"ssl_certificate     {host.folders.live_path('d.example')}/fullchain.pem;" in served.detail


async def test_certificate_shadowed_by_another_server_block_is_an_error(host: Host) -> None:
    """Use two server blocks with one name, of which the first wins with only a warning."""
    shadow = Site(("b.example",), Path(host.folders.live_path("a.example")))
    settings = host.server.settings
    host.server.write(replace(settings, sites=(shadow, *settings.sites)))
    await host.reload(await host.install(*NAMES))
    with pytest.raises(VerifyError, match=r"serves serial .* for b\.example .* another server block with this name"):
        await host.verify("b.example")
    assert (await host.verify("c.example")).is_served


async def test_name_without_a_server_block_is_reported_beside_served_ones(host: Host) -> None:
    pair = host.ca.pair(dns("b.example"), dns("extra.example"))
    await host.reload([await install("b.example", pair, host.folders)])
    served = await host.verify("b.example")
    assert served.is_served
    assert served.detail == "1 handshake; no server block here serves extra.example"
