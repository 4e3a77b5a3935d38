"""Listen for the status endpoint where the settings say, also after a reload. Renewals go on without it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from wellkeeper_issuer.commands.status_pages import StatusPages
from wellkeeper_issuer.service.serving import Service
from wellkeeper_issuer.settings.web_table import WebSettings
from wellkeeper_issuer.status.activity import Activity
from wellkeeper_node.errors import WellkeeperError

_log = logging.getLogger(__name__)

_NOWHERE = WebSettings()


def _overlap(one: Path | tuple[str, int] | None, other: Path | tuple[str, int] | None) -> bool:
    """Return whether nothing can listen at both: an address may include another one with its port."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return one[1] == other[1]
    return one == other


class StatusEndpoint:
    """The endpoint of a daemon; `failure` is why it is not as the settings want it, if it is not."""

    def __init__(self, service: Service, activity: Activity) -> None:
        self._service = service
        self._activity = activity
        self._changed = asyncio.Event()
        self._open = AsyncExitStack()
        self._pages: StatusPages | None = None
        self._keeping = AsyncExitStack()
        self._web = _NOWHERE
        self.failure: WellkeeperError | None = None

    @property
    def problem(self) -> str:
        """Return the failure in a sentence; "" without one."""
        return f"cannot serve the status pages as [web] says: {self.failure}" if self.failure else ""

    def to_json(self) -> dict[str, Any]:
        """Return the failure as the daemon's status has it."""
        found = self.failure
        cause = ": ".join(filter(None, (found.what, found.why.rstrip(".")))) if found else ""
        failure = {"cause": cause, "fix": found.remedy} if found else None
        return {"endpoint_problem": self.problem or None, "endpoint_failure": failure}

    def settings_changed(self) -> None:
        """Look at the settings again, soon."""
        self._changed.set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve the pages inside the context."""
        await self._apply()
        following = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            following.cancel()
            await asyncio.wait([following])
            await self._open.aclose()
            await self._end_pages()

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._apply()

    async def _apply(self) -> None:
        await self._move()
        if self._web.listen is None:
            await self._end_pages()

    async def _move(self) -> None:
        """Listen as the settings say; if that fails, as before."""
        wanted, former = self._service.settings.web, self._web
        if wanted == former:
            self.failure = None
            return
        is_same_place = _overlap(wanted.listen, former.listen)
        if is_same_place:
            await self._open.aclose()
        try:
            opened = await self._listen(wanted)
        except WellkeeperError as error:
            self.failure = error
            _log.error("%s", self.problem)
            if is_same_place:
                self._open = await self._listen_again(former)
            return
        await self._open.aclose()
        self._open, self._web, self.failure = opened, wanted, None

    async def _listen_again(self, former: WebSettings) -> AsyncExitStack:
        try:
            return await self._listen(former)
        except WellkeeperError as error:
            _log.error("cannot serve the status pages: %s", error)
            self._web = _NOWHERE
            return AsyncExitStack()

    async def _listen(self, web: WebSettings) -> AsyncExitStack:
        """Return what ends the listener. Raises DaemonError."""
        async with AsyncExitStack() as stack:
            if web.listen is not None:
                from wellkeeper_issuer.outside.web.listener import listening, shown
                from wellkeeper_issuer.outside.web.site import Site

                pages = await self._begin_pages()
                site = Site(pages.by_path, web.accepted_hosts())
                await stack.enter_async_context(listening(site, web.listen, web.group))
                _log.info("status at %s", shown(web.listen))
            return stack.pop_all()

    async def _begin_pages(self) -> StatusPages:
        """Return the pages. Only the first call waits for a reading: during a reload, clients cannot connect."""
        if self._pages is None:
            pages = StatusPages(self._service, self._activity)
            await self._keeping.enter_async_context(pages.kept())
            self._pages = pages
        return self._pages

    async def _end_pages(self) -> None:
        self._pages = None
        await self._keeping.aclose()
