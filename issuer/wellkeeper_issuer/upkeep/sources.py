"""Open the CA to ask for a certificate, unless its limits or earlier refusals forbid it, and record its refusals."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from wellkeeper_issuer.errors import ChainError, ChallengeError, DatesError, DeferredError, FinalizeError, OrderError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.obtain.backoff import is_emergency
from wellkeeper_issuer.obtain.early import is_brought_forward
from wellkeeper_issuer.obtain.limits import Limits
from wellkeeper_issuer.obtain.order import Terms
from wellkeeper_issuer.obtain.starting import Starting
from wellkeeper_issuer.obtain.throttle import Throttle
from wellkeeper_issuer.ports.ca import Authorities, CertificateAuthority
from wellkeeper_issuer.records import Rule, Schedule
from wellkeeper_issuer.reports import Mode
from wellkeeper_issuer.upkeep.notices import turning_points
from wellkeeper_node.errors import Retry, WellkeeperError
from wellkeeper_node.ports import Clock
from wellkeeper_node.wording import format_exact_time

# Problems of the name and its server, not of the CA: another CA would find the same.
_OF_THE_NAME: Final = frozenset({"connection", "dns", "incorrectResponse", "malformed", "tls", "unauthorized"})


def is_of_the_ca(error: WellkeeperError) -> bool:
    """Return whether another CA may issue where this one did not."""
    if isinstance(error, ChallengeError):
        return error.problem is None or error.problem.name not in _OF_THE_NAME
    return isinstance(error, OrderError | FinalizeError) and not isinstance(error, DatesError)


async def always_alone() -> None:
    """Pass: without a fleet, there is one issuer."""


@dataclass(frozen=True, slots=True)
class Source:
    """One CA, for one certificate: `terms` are those of a new order."""

    ca: CertificateAuthority
    terms: Terms


@dataclass(frozen=True, slots=True)
class Sources:
    """The CAs, their limits, and the results of earlier orders.

    `unusable` maps a directory to the reason why an order there cannot succeed. A daemon has `starting`. `check_alone`
    raises DeferredError while another issuer must order instead of this one.
    """

    authorities: Authorities
    limits: Limits
    throttle: Throttle
    clock: Clock
    unusable: Mapping[str, str] = field(default_factory=dict)
    starting: Starting | None = None
    check_alone: Callable[[], Awaitable[None]] = always_alone

    @asynccontextmanager
    async def source(
        self, lineage: Lineage, directory_url: str, schedule: Schedule | None, mode: Mode
    ) -> AsyncIterator[Source]:
        """Open the CA. Raises DeferredError if it must not be asked now; errors raised inside are recorded."""
        if directory_url in self.unusable:
            # Once the key or the pin is back, no wait is needed.
            raise OrderError("cannot use the CA", self.unusable[directory_url], retry=Retry.SOON)
        blocked = await self.limits.blocked(directory_url, lineage.name) if mode is Mode.SCHEDULED else None
        if blocked is not None:
            until = format_exact_time(blocked.until)
            raise DeferredError(f"the CA is not asked before {until}", blocked.reason, retry_at=blocked.until)
        of_the_ca = self.authorities.limits(directory_url)
        try:
            yield await self._open(lineage, directory_url, schedule, mode)
        except DeferredError:
            raise  # the CA was not asked
        except ChainError:
            await self.limits.book_certificate(directory_url, of_the_ca, lineage)
            raise
        except WellkeeperError as error:
            await self.limits.learn(directory_url, of_the_ca, lineage.name, error)
            raise
        await self.limits.book_certificate(directory_url, of_the_ca, lineage)

    async def tidy(self) -> None:
        """Forget uses that are too old to count for any limit."""
        urls = self.authorities.directory_urls
        await self.limits.tidy([limit for url in urls for limit in self.authorities.limits(url)])

    async def _open(self, lineage: Lineage, directory_url: str, schedule: Schedule | None, mode: Mode) -> Source:
        await self.authorities.load(directory_url)
        ca = self.authorities.open(directory_url)
        if self.starting and mode is Mode.SCHEDULED:
            await self.starting.await_ca(ca)
        is_urgent = schedule is not None and is_emergency(schedule, self.clock.now())
        reserve = partial(
            self._reserve,
            lineage,
            directory_url,
            may_use_last=is_urgent or mode in {Mode.FORCED, Mode.REVOKED},
            turning_points=turning_points(schedule) if schedule else (),
        )
        if schedule is None or schedule.directory_url != directory_url:
            return Source(ca, Terms(reserve=partial(reserve, None)))
        is_ours = schedule.account_url == await ca.account_url()
        replaces = schedule.certificate_id if is_ours and schedule.identifiers & set(lineage.identifiers) else None
        return Source(ca, Terms(replaces, partial(reserve, schedule)))

    async def _reserve(
        self,
        lineage: Lineage,
        directory_url: str,
        earlier: Schedule | None,
        *,
        replaces: bool,
        **terms: Any,  # noqa: ANN401 - what `reserve` takes
    ) -> None:
        """Reserve an order; `earlier` is the schedule of what this CA issued last."""
        await self.check_alone()
        await self.limits.reserve(
            directory_url,
            self.authorities.limits(directory_url),
            lineage,
            is_renewal=earlier is not None and earlier.identifiers == frozenset(lineage.identifiers),
            is_exempt=replaces and earlier is not None and _is_exempt(earlier, self.clock.now()),
            **terms,
        )
        await self.throttle.slot()


def _is_exempt(schedule: Schedule, now: datetime) -> bool:
    """Return whether Let's Encrypt exempts the order from its limits: inside the window (Boulder, wfe2/wfe.go).

    The second early renewal in a row counts anyway: it may be a mistake of the CA.
    """
    window = schedule.window
    is_inside = schedule.rule is Rule.ARI and window is not None and window.start <= now <= window.end
    return is_inside and not (schedule.held_until is not None and is_brought_forward(schedule, now))
