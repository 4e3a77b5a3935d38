"""The pages of a daemon, and the reading that they share."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.issuer.commands.workers import WorkerFactory
from wellkeeper_issuer.commands.site.pages import HtmlPages
from wellkeeper_issuer.outside.web.shared import FRESH_SECONDS
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.service.serving import Service


@pytest.fixture
def factory(folder: Path) -> WorkerFactory:
    return WorkerFactory(folder)


@pytest.fixture
async def service(factory: WorkerFactory) -> AsyncIterator[Service]:
    factory.write("a.example")
    async with factory.service() as service:
        yield service


async def first_page(pages: HtmlPages) -> str:
    return (await pages.by_path["/"]({})).text


async def test_first_page_waits_for_no_reading(service: Service) -> None:
    pages = HtmlPages(service, FakeClock())
    async with pages.kept(start_seconds=60):
        service.settings.state_dir.mkdir(exist_ok=True)
        (service.settings.state_dir / "state.db").write_text("no database")
        assert "<title>1 of 1 certificate needs attention" in await first_page(pages)


async def test_pages_follow_the_settings(service: Service, factory: WorkerFactory) -> None:
    clock = FakeClock()
    pages = HtmlPages(service, clock)
    for names in (("a.example",), ("a.example", "b.example")):
        factory.write(*names)
        await service.reload({}, remote.ignore)
        async with asyncio.timeout(60):
            while f"of {len(names)} cert" not in await first_page(pages):
                clock.advance(FRESH_SECONDS)
                await asyncio.sleep(0.01)
