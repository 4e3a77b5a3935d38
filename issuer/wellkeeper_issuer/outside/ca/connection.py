"""Send signed requests to one CA with our account there.

Reads are retried when the connection breaks or the CA is busy; a request that changes something is sent once, and the
caller reads the state again. Every request can be cancelled at any time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import aiohttp
from acme import messages
from josepy.jwk import JWK

from wellkeeper_issuer.advice import problems
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.ca.abilities import parse_directory
from wellkeeper_issuer.outside.ca.messages import account_jwk, algorithm_of
from wellkeeper_issuer.outside.ca.options import CaOptions
from wellkeeper_issuer.outside.ca.problems import is_passing, translated
from wellkeeper_issuer.outside.ca.registration import Account, Registration
from wellkeeper_issuer.outside.ca.server import CaServer
from wellkeeper_issuer.outside.ca.session import Reply
from wellkeeper_issuer.outside.ca.signing import Sender, SignedRequests, Signer
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_issuer.outside.keys.key_files import account_thumbprint
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.model import Problem
from wellkeeper_node.ports import Clock

_READ_TRIES: Final = 3
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 30.0
# All callers share one failed try for this long. Without a reply, for at most four times as long as the try took, so
# that a fixed network is noticed soon.
_UNAVAILABLE_SECONDS: Final = 20.0
_UNAVAILABLE_TIMES: Final = 4
# A CA that forgets the account again this soon would do so forever.
_FORGETS_AGAIN_SECONDS: Final = 3600.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Keyed:
    """The account key as it was read."""

    stamp: tuple[int, int]
    signer: Signer
    thumbprint: str


Work = Callable[[Sender, messages.Directory], Awaitable[T]]


class Connection:
    """Requests to one CA. The first call that needs the account finds or registers it, again if the CA forgot it."""

    def __init__(self, options: CaOptions, server: CaServer, accounts: AccountFolder, clock: Clock) -> None:
        self.options = options
        self.accounts = accounts
        self.clock = clock
        self.server = server
        self._requests = SignedRequests(server, clock)
        self._registration = Registration(options, accounts, clock)
        self._opening = asyncio.Lock()
        self._account: Account | None = None
        self._unavailable: tuple[float, float, WellkeeperError] | None = None
        self._found_again_at: dict[bool, float] = {}
        self._keyed: _Keyed | None = None

    @property
    def key(self) -> JWK:
        """The account key, read again when another process (`account rollover`) replaced it. Raises SettingsError."""
        return self._present().signer.key

    @property
    def thumbprint(self) -> str:
        """RFC 7638 thumbprint of the account key."""
        return self._present().thumbprint

    async def directory(self) -> messages.Directory:
        """Return the directory, read once per day. Raises OrderError."""
        request = f"the request for its directory {self.options.directory_url}"
        with translated(OrderError, self.options.name, request, self.clock):
            return parse_directory(await self.server.directory())

    async def nonce(self) -> None:
        """Get a fresh nonce (RFC 8555 section 7.2); raises OrderError."""
        await self.directory()
        with translated(OrderError, self.options.name, "the request for a nonce", self.clock):
            await self._requests.read_nonce()

    async def prepare(self) -> None:
        """Do all that comes before the first signed request of the account; raises OrderError and SettingsError."""
        await self.account()
        with translated(OrderError, self.options.name, "the request for a nonce", self.clock):
            await self._requests.prepare()

    async def check_registration(self) -> None:
        """Raise what would stop a registration before the CA is asked; register nothing."""
        self._registration.check(await self.directory())

    def deactivated(self) -> OrderError:
        """Return the error about an account that is permanently deactivated, with the way to another one."""
        return self._registration.deactivated()

    async def account(self) -> tuple[messages.Directory, Account]:
        """Return directory and account. Raises SettingsError, and OrderError, again for a while after a failed try."""
        asked_at = self.clock.monotonic()
        async with self._opening:
            self._raise_if_unavailable(asked_at)
            began_at = self.clock.monotonic()
            try:
                directory = await self.directory()
                if self._account is None:
                    self._account = await self._registration.find(self.sender(), directory)
            except WellkeeperError as error:
                self._remember(error, began_at)
                raise
            return directory, self._account

    async def call(self, kind: type[WellkeeperError], request: str, work: Work[T]) -> T:
        """Send a request once, with our account; twice when the CA forgot it (a restarted test CA) or has another."""
        directory, account = await self.account()
        try:
            return await self._send(kind, request, work, directory, account)
        except WellkeeperError as error:
            if error.problem is None or not await self._find_again(account, error.problem):
                raise
        return await self._send(kind, request, work, *await self.account())

    async def call_as(self, account_url: str, kind: type[WellkeeperError], request: str, work: Work[T]) -> T:
        """Send a request once with this account, and register none."""
        return await self._send(kind, request, work, await self.directory(), Account(account_url))

    async def read(self, kind: type[WellkeeperError], request: str, url: str, parse: Callable[[str, Reply], T]) -> T:
        """Read a resource by POST-as-GET (RFC 8555 section 6.3), with retries where they may help."""

        async def work(sender: Sender, _: messages.Directory) -> T:
            return parse(url, await sender.send(url, None))

        pause_seconds = _FIRST_PAUSE_SECONDS
        for _ in range(_READ_TRIES - 1):
            try:
                return await self.call(kind, request, work)
            except WellkeeperError as error:
                retry_seconds = _retry_seconds(error)
                if retry_seconds is None:
                    raise
            await self.clock.sleep(max(retry_seconds, pause_seconds))
            pause_seconds *= 4
        return await self.call(kind, request, work)

    def sender(self, account_url: str | None = None) -> Sender:
        """Return what signs with the account key; without a URL, the key itself goes with the request."""
        return Sender(self._requests, replace(self._present().signer, account_url=account_url))

    def sender_for(self, signer: Signer) -> Sender:
        """Return what signs with another key."""
        return Sender(self._requests, signer)

    def _present(self) -> _Keyed:
        keyed = self._keyed
        if keyed is None or self.accounts.key_stamp(self.options.directory_url) != keyed.stamp:
            keyed = self._keyed = self._read_key()
        return keyed

    def _read_key(self) -> _Keyed:
        url = self.options.directory_url
        stamp, key = self.accounts.key_stamp(url), self.accounts.account_key(url)
        jwk = account_jwk(key)
        return _Keyed(stamp, Signer(jwk, algorithm_of(jwk)), account_thumbprint(key))

    async def _send(
        self,
        kind: type[WellkeeperError],
        request: str,
        work: Work[T],
        directory: messages.Directory,
        account: Account,
    ) -> T:
        with translated(kind, self.options.name, request, self.clock):
            return await work(self.sender(account.url), directory)

    async def _find_again(self, suspected: Account, problem: Problem) -> bool:
        """Find or register the account again, once for all callers. Return False if that does not help."""
        is_forgotten = problem.name == "accountDoesNotExist"
        if not is_forgotten and not problems.may_be_about_our_account(problem):
            return False
        async with self._opening:
            if self._account is not suspected:
                return True  # another caller did
            now, last = self.clock.monotonic(), self._found_again_at.get(is_forgotten)
            if last is not None and now - last < _FORGETS_AGAIN_SECONDS:
                return False
            self._found_again_at[is_forgotten] = now
            sender, directory = self.sender(), await self.directory()
            if is_forgotten:
                found: Account | None = await self._registration.find(sender, directory, is_forgotten=True)
            else:
                found = await self._registration.find_again(sender, directory)
            self._account = found or suspected
            return found is not None

    def _remember(self, error: WellkeeperError, began_at: float) -> None:
        now = self.clock.monotonic()
        longest = _UNAVAILABLE_SECONDS if error.problem else _UNAVAILABLE_TIMES * (now - began_at)
        self._unavailable = (now, now + min(_UNAVAILABLE_SECONDS, longest), error)

    def _raise_if_unavailable(self, asked_at: float) -> None:
        if self._unavailable is None:
            return
        since, until, error = self._unavailable
        if asked_at > since and asked_at >= until:
            return
        raise type(error)(
            error.what, error.why, error.remedy, problem=error.problem, retry=error.retry, retry_at=error.retry_at
        )


def _retry_seconds(error: WellkeeperError) -> float | None:
    """Return the seconds to wait before the same read is worth a retry; None when it is not."""
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError | TimeoutError):
        return 0.0
    problem = error.problem
    if problem is None or not is_passing(problem):
        return None
    asked = problem.retry_after_seconds or 0.0
    return asked if asked <= _LONGEST_PAUSE_SECONDS else None
