"""starting: in the first minute of a daemon, wait for what may not have started yet: a responder, nginx, the CA.

Containers start in any order. What is missing beside a daemon is a failure, which is retried after a minute; in its
first minute it looks again after 2, 5, 10, 10 … seconds, and nothing has failed. No order is made before.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from wellkeeper_issuer.errors import DeferredError
from wellkeeper_issuer.ports.ca import CertificateAuthority
from wellkeeper_node.errors import Retry, WellkeeperError
from wellkeeper_node.ports import Clock, Nginx

_log = logging.getLogger(__name__)

SECONDS: Final = 60.0
# Since the start. The last look is early enough for a regular failure within the minute.
_LOOKS: Final = (2.0, 7.0, 17.0, 27.0, 37.0, 47.0, 57.0)


class Starting:
    """The first minute of a daemon. `ask_responders` raises PublishError while one of them does not answer."""

    def __init__(self, clock: Clock, ask_responders: Callable[[], Awaitable[None]]) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self._ask_responders = ask_responders
        self._have_started: set[str] = set()
        self._logged = ""

    async def await_responders(self) -> None:
        """Raise DeferredError while a responder does not answer."""
        await self._await("responders", self._ask_responders)

    async def await_nginx(self, nginx: Nginx) -> None:
        """Raise DeferredError while nginx does not run."""
        await self._await("nginx", nginx.prove)

    async def await_ca(self, ca: CertificateAuthority) -> None:
        """Raise DeferredError while the CA does not answer."""
        await self._await(ca.directory_url, ca.prepare)

    async def _await(self, what: str, ask: Callable[[], Awaitable[None]]) -> None:
        """Ask within the first minute, until it has succeeded once; raise other errors as they are."""
        if what in self._have_started or (pause := self._pause) is None:
            return
        try:
            await ask()
        except WellkeeperError as error:
            if error.problem is not None or error.retry is not Retry.SOON:
                raise
            self._log(error, pause)
            retry_at = self._clock.now() + timedelta(seconds=pause)
            raise DeferredError(error.what, error.why, error.remedy, retry_at=retry_at) from error
        self._have_started.add(what)

    @property
    def _pause(self) -> float | None:
        """Return the seconds until the next look; None after the last one."""
        elapsed = self._clock.monotonic() - self._began
        return next((at - elapsed for at in _LOOKS if at > elapsed), None)

    def _log(self, error: WellkeeperError, pause: float) -> None:
        """Log it once for all certificates, and again when the reason changes."""
        if str(error) != self._logged:
            self._logged = str(error)
            _log.info("waiting: %s (retrying in %.0f s)", error, pause)
