"""The paths of the status page, and the replies of the daemon there. One reading of the disk serves all pages."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from wellkeeper_issuer.commands.site import view
from wellkeeper_issuer.commands.site.certificate_page import certificate_page
from wellkeeper_issuer.commands.site.other_pages import limits_page, nodes_page, rehearsals_page, settings_page
from wellkeeper_issuer.commands.site.overview_page import overview_page
from wellkeeper_issuer.commands.site.rendering import load_templates, read_file, render
from wellkeeper_issuer.commands.site.view import View
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.outside.web.shared import Kept
from wellkeeper_issuer.outside.web.site import Make, Page, Query
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.service.serving import Service
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.ports import Clock

_log = logging.getLogger(__name__)

# Returns the text; None if the query asks for nothing that there is.
Show = Callable[[View, Query], str | None]

_HTML: Final = "text/html; charset=utf-8"
_PAGES: Final[Mapping[str, Show]] = {
    "/": overview_page,
    "/certificate": certificate_page,
    "/nodes": nodes_page,
    "/limits": limits_page,
    "/rehearsals": rehearsals_page,
    "/settings": settings_page,
}
_FILES: Final = {"/style.css": "text/css; charset=utf-8", "/icon.svg": "image/svg+xml"}
# Until it listens without a reading, as on a disk that hangs. Ten thousand certificates take a second beside a start.
_START_SECONDS: Final = 5.0


class HtmlPages:
    """The pages of a daemon."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._view = Kept(self._read, clock)
        self._known: tuple[Settings, Sequence[Lineage]] | None = None
        # However many clients ask, pages take one thread: renewals need the others.
        self._slot = asyncio.Lock()

    @property
    def by_path(self) -> Mapping[str, Make]:
        pages = {path: self._page(show) for path, show in _PAGES.items()}
        return pages | {path: _file(path, content_type) for path, content_type in _FILES.items()}

    @asynccontextmanager
    async def kept(self, start_seconds: float = _START_SECONDS) -> AsyncIterator[None]:
        """Keep a reading inside the context, from its start on, unless the first one takes longer than this."""
        await self._view.prepare(start_seconds)
        keeping = asyncio.create_task(self._view.keep())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])

    def _page(self, show: Show) -> Make:
        async def make(query: Query) -> Page:
            try:
                seen = await self._view.get()
                async with self._slot:
                    text = await asyncio.to_thread(show, seen, query)
            except WellkeeperError as error:
                _log.error("status: %s", error)
                return Page(f"{error}\n", status=503)
            if text is None:
                return Page(await asyncio.to_thread(render, "missing.html", view=seen, here=""), _HTML, 404)
            return Page(text, _HTML)

        return make

    def _read(self) -> View:
        load_templates()  # here, in a thread
        service, settings = self._service, self._service.settings
        if self._known is None or self._known[0] is not settings:
            self._known = settings, settings.lineages()
        daemon = asyncio.run(service.status({}, remote.ignore))
        return view.read(settings, self._known[1], daemon, is_outdated=service.is_outdated())


def _file(path: str, content_type: str) -> Make:
    async def make(_query: Query) -> Page:
        return Page(await asyncio.to_thread(read_file, path.removeprefix("/")), content_type)

    return make
