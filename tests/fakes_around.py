"""Fakes around a renewal: CAs, their renewal infos, hooks and notifications."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

from tests.fakes_obtain import FakeAuthority
from wellkeeper_issuer.errors import HookError, OrderError
from wellkeeper_issuer.ports.ca import CertificateAuthority
from wellkeeper_issuer.records import Event, Limit, NoRenewalInfo, Notice, Occasion, RenewalInfo


class FakeAuthorities:
    """`ports.Authorities` of fakes, by their present URLs; `limited` are their limits."""

    def __init__(self, *cas: FakeAuthority) -> None:
        self.cas = list(cas)
        self.limited: defaultdict[str, tuple[Limit, ...]] = defaultdict(tuple)
        self.opened: list[str] = []
        self.unreachable: str | None = None

    @property
    def directory_urls(self) -> Sequence[str]:
        return [ca.directory_url for ca in self.cas]

    async def load(self, directory_url: str) -> None:
        if self.unreachable is not None:
            raise OrderError(f"{self.unreachable}: {directory_url}")

    def open(self, directory_url: str) -> CertificateAuthority:
        self.opened.append(directory_url)
        return next(ca for ca in self.cas if ca.directory_url == directory_url)

    def limits(self, directory_url: str) -> Sequence[Limit]:
        return self.limited[directory_url]


class FakeInfos:
    """`ports.RenewalInfos` with one `answer` for all, after `at_ask`; `asked` lists CA and certificate."""

    def __init__(self) -> None:
        self.answer: RenewalInfo | NoRenewalInfo | None = None
        self.asked: list[tuple[str, str]] = []
        self.at_ask: Callable[[], Awaitable[None]] | None = None

    async def ask(self, directory_url: str, certificate_id: str) -> RenewalInfo | NoRenewalInfo | None:
        self.asked.append((directory_url, certificate_id))
        if self.at_ask is not None:
            await self.at_ask()
        return self.answer


class FakeHooks:
    """`ports.Hooks` for `events`; `ran` lists events and occasions.

    Hooks in `failing` fail and print `words`; those in `hanging` run until they are cancelled.
    """

    def __init__(self) -> None:
        self.events: set[Event] = set()
        self.failing: set[Event] = set()
        self.hanging: set[Event] = set()
        self.words = "it says no"
        self.ran: list[tuple[Event, Occasion]] = []

    async def run(self, event: Event, about: Occasion) -> None:
        if event not in self.events:
            return
        self.ran.append((event, about))
        if event in self.hanging:
            await asyncio.Event().wait()
        await asyncio.sleep(0)  # a cancellation arrives here at the latest
        if event in self.failing:
            raise HookError(f"the hook '{event}' failed for {' '.join(about.lineages)}", self.words)

    def is_there(self, event: Event) -> bool:
        return event in self.events


class FakeNotifications:
    """`ports.Notifications`: `reported` lists notices and lineages; sending fails while `is_away`.

    `renewed` has the details of renewals instead, by lineage.
    """

    def __init__(self) -> None:
        self.reported: list[tuple[Notice, str]] = []
        self.details: list[str] = []
        self.renewed: dict[str, str] = {}
        self.is_away = False

    async def send(self, notice: Notice, lineage: str, detail: str) -> None:
        if self.is_away:
            raise HookError(f"nobody took the {notice} of {lineage}: {detail}")
        if notice is Notice.RENEWED:
            self.renewed[lineage] = detail
            return
        self.reported.append((notice, lineage))
        self.details.append(detail)
