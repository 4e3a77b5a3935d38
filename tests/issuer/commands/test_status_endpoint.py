"""The place of the status endpoint, before and after a reload of the settings."""

import asyncio
import grp
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stand.ports import free_port
from tests.issuer.commands.workers import WorkerFactory
from tests.responder.http import ask
from wellkeeper_issuer.commands.status_endpoint import StatusEndpoint
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.service.serving import Service
from wellkeeper_issuer.status.activity import Activity
from wellkeeper_responder.settings import TcpAddress, UnixAddress

GROUP = grp.getgrgid(os.getgid()).gr_name


class Daemon:
    """A running service with its endpoint."""

    def __init__(self, factory: WorkerFactory, service: Service, endpoint: StatusEndpoint) -> None:
        self.factory = factory
        self._service = service
        self.endpoint = endpoint

    async def reload(self, web: str) -> None:
        self.factory.write("a.example", more=web)
        await self._service.reload({}, remote.ignore)
        self.endpoint.settings_changed()

    async def answers(self, place: str | TcpAddress, host: str = "localhost") -> bool:
        address = UnixAddress(self.factory.folder / place) if isinstance(place, str) else place
        try:
            reply = await ask(address, "GET", "/healthz", {"Host": host})
        except OSError:
            return False
        return reply.status == 200

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not is_so():  # noqa: ASYNC110 - a task of the endpoint
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(folder: Path, web: str) -> AsyncIterator[Daemon]:
    factory = WorkerFactory(folder)
    factory.write("a.example", more=web)
    async with factory.service() as service:
        endpoint = StatusEndpoint(service, Activity())
        async with endpoint.serving():
            yield Daemon(factory, service, endpoint)


def web(folder: Path, name: str, more: str = "") -> str:
    return f"[web]\nlisten = 'unix:{folder / name}'\n{more}"


async def test_reload_moves_the_endpoint(folder: Path) -> None:
    async with running(folder, "") as daemon:
        await daemon.reload(web(folder, "one.sock"))
        await daemon.until((folder / "one.sock").exists)
        await daemon.reload(web(folder, "two.sock"))
        await daemon.until(lambda: not (folder / "one.sock").exists())
        assert [await daemon.answers(name) for name in ("one.sock", "two.sock")] == [False, True]
        await daemon.reload("")
        await daemon.until(lambda: not (folder / "two.sock").exists())
        assert daemon.endpoint.problem == ""


async def test_reload_moves_the_endpoint_to_another_address_with_the_same_port(folder: Path) -> None:
    port = free_port()
    async with running(folder, f"[web]\nlisten = '127.0.0.1:{port}'") as daemon:
        await daemon.reload(f"[web]\nlisten = '0.0.0.0:{port}'\nallow_remote = true")
        async with asyncio.timeout(60):
            while not await daemon.answers(TcpAddress("127.0.0.2", port)):  # noqa: ASYNC110 - a task of the endpoint
                await asyncio.sleep(0.01)
        assert daemon.endpoint.problem == ""


async def test_endpoint_stays_if_the_new_one_cannot_be_opened(folder: Path) -> None:
    (folder / "two.sock").touch()
    async with running(folder, web(folder, "one.sock")) as daemon:
        await daemon.reload(web(folder, "two.sock"))
        await daemon.until(lambda: "cannot serve the status pages as [web] says" in daemon.endpoint.problem)
        assert await daemon.answers("one.sock")
        await daemon.reload(web(folder, "one.sock"))
        await daemon.until(lambda: daemon.endpoint.problem == "")
        assert await daemon.answers("one.sock")


async def test_reload_changes_the_endpoint_in_its_place(folder: Path) -> None:
    async with running(folder, web(folder, "one.sock")) as daemon:
        assert not await daemon.answers("one.sock", "other.example")
        await daemon.reload(web(folder, "one.sock", f"hosts = ['other.example']\ngroup = '{GROUP}'"))
        async with asyncio.timeout(60):
            while not await daemon.answers("one.sock", "other.example"):  # noqa: ASYNC110 - a task of the endpoint
                await asyncio.sleep(0.01)
        assert (folder / "one.sock").stat().st_mode & 0o777 == 0o660


async def test_endpoint_that_changes_in_its_place_waits_for_no_reading(folder: Path) -> None:
    async with running(folder, web(folder, "one.sock")) as daemon:
        daemon.factory.is_readable.clear()
        try:
            for host in ("other.example", "third.example"):
                await daemon.reload(web(folder, "one.sock", f"hosts = ['{host}']"))
                async with asyncio.timeout(60):
                    while not await daemon.answers("one.sock", host):  # noqa: ASYNC110 - a task of the endpoint
                        await asyncio.sleep(0.01)
            # The first one, and perhaps one that was due.
            assert daemon.factory.readings <= 2
        finally:
            daemon.factory.is_readable.set()


async def test_endpoint_that_returns_has_pages_again(folder: Path) -> None:
    async with running(folder, web(folder, "one.sock")) as daemon:
        await daemon.reload("")
        await daemon.until(lambda: not (folder / "one.sock").exists())
        readings = daemon.factory.readings
        await daemon.reload(web(folder, "one.sock"))
        await daemon.until((folder / "one.sock").exists)
        assert daemon.factory.readings > readings


async def test_endpoint_comes_back_in_its_place_if_its_group_does_not_exist(folder: Path) -> None:
    async with running(folder, web(folder, "one.sock")) as daemon:
        await daemon.reload(web(folder, "one.sock", "group = 'no-such-group'"))
        await daemon.until(lambda: "no such group" in daemon.endpoint.problem)
        async with asyncio.timeout(60):
            while not await daemon.answers("one.sock"):  # noqa: ASYNC110 - a task of the endpoint
                await asyncio.sleep(0.01)


async def test_endpoint_whose_place_was_taken_meanwhile_is_gone_until_the_next_reload(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(folder, web(folder, "one.sock")) as daemon:
        (folder / "one.sock").unlink()
        (folder / "one.sock").mkdir()
        await daemon.reload(web(folder, "one.sock", "hosts = ['other.example']"))
        await daemon.until(lambda: "cannot serve the status pages: cannot listen on" in caplog.text)
        (folder / "one.sock").rmdir()
        await daemon.reload(web(folder, "one.sock"))
        await daemon.until((folder / "one.sock").exists)
        assert daemon.endpoint.problem == ""
