"""The pages of the daemon's status endpoint: those for people, and the same as `status --prometheus` and `--json`."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from wellkeeper_client import wire
from wellkeeper_issuer.assembly import all_metrics
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.service.serving import Service
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.status import overview
from wellkeeper_issuer.status.activity import Activity
from wellkeeper_issuer.status.overview import Overview
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import WellkeeperError

if TYPE_CHECKING:
    from wellkeeper_issuer.fleet.node_status import NodeStatus
    from wellkeeper_issuer.outside.web.site import Make, Page, Query

_log = logging.getLogger(__name__)


class StatusPages:
    """The status from the disk, read in a thread: ten thousand certificates must not block the daemon."""

    def __init__(self, service: Service, activity: Activity) -> None:
        from wellkeeper_issuer.commands.site.pages import HtmlPages
        from wellkeeper_issuer.outside.web.shared import Shared

        self._service = service
        self._activity = activity
        clock = SystemClock()
        self._metrics = Shared(self._write_metrics, clock)
        self._status = Shared(self._write_status, clock)
        self._html = HtmlPages(service, clock)

    @property
    def by_path(self) -> "Mapping[str, Make]":
        return {
            wire.METRICS_PATH: self.metrics,
            wire.HEALTH_PATH: self.health,
            "/readyz": self.readiness,
            wire.STATUS_PATH: self.status,
            **self._html.by_path,
        }

    def kept(self) -> AbstractAsyncContextManager[None]:
        """Return the context in which no page waits for a reading."""
        return self._html.kept()

    async def metrics(self, _query: "Query") -> "Page":
        return await _page(self._metrics.get, all_metrics.CONTENT_TYPE)

    async def status(self, _query: "Query") -> "Page":
        return await _page(self._status.get, "application/json")

    async def health(self, _query: "Query") -> "Page":
        """Answer, which shows that the event loop runs."""
        from wellkeeper_issuer.outside.web.site import Page

        return Page("ok\n")

    async def readiness(self, _query: "Query") -> "Page":
        """Return 503 while the daemon begins with new settings or keys."""
        from wellkeeper_issuer.outside.web.site import Page

        return Page("ok\n") if self._service.is_ready.is_set() else Page("not ready\n", status=503)

    def _write_metrics(self) -> str:
        from wellkeeper_issuer.commands import status_nodes

        service = self._service
        seen, nodes = asyncio.run(_look(service.settings, reads_certificates=False))
        on_disk = all_metrics.on_disk(service.settings, seen, status_nodes.present(nodes))
        return on_disk + all_metrics.counts(self._activity, service.started_at, service.factories.checked())

    def _write_status(self) -> str:
        from wellkeeper_issuer.commands import status_json
        from wellkeeper_issuer.commands.terminal.json_output import to_text

        service = self._service
        settings, daemon = service.settings, asyncio.run(service.status({}, remote.ignore))
        seen, nodes = asyncio.run(_look(settings, reads_certificates=True))
        return to_text(status_json.to_json(settings, seen, nodes, daemon, is_outdated=service.is_outdated()))


async def _look(settings: Settings, *, reads_certificates: bool) -> "tuple[Overview, Sequence[NodeStatus]]":
    from wellkeeper_issuer.assembly.node_statuses import read_node_statuses

    nodes = await read_node_statuses(settings) if settings.fleet.listen else ()
    return await overview.look(settings, settings.lineages(), reads_certificates=reads_certificates), nodes


async def _page(get: Callable[[], Awaitable[str]], content_type: str) -> "Page":
    from wellkeeper_issuer.outside.web.site import Page

    try:
        return Page(await get(), content_type)
    except WellkeeperError as error:
        _log.error("status: %s", error)
        return Page(f"{error}\n", status=503)
