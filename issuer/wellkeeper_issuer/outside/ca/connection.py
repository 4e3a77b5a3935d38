"""Send signed requests to one CA on threads, with its directory and our account there.

The acme library is synchronous, so it runs on its own threads, with one network object per thread. Reads are retried
when the connection breaks or the CA is busy; a request that changes something is sent once, and the caller reads the
state again.
"""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import requests
from acme import messages
from josepy.jwa import ES256, JWASignature
from josepy.jwk import JWK

from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.ca.abilities import check_directory
from wellkeeper_issuer.outside.ca.messages import account_jwk, algorithm_of
from wellkeeper_issuer.outside.ca.network import Network
from wellkeeper_issuer.outside.ca.options import CaOptions
from wellkeeper_issuer.outside.ca.problems import is_passing, translated
from wellkeeper_issuer.outside.ca.registration import Registration
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_issuer.outside.keys.key_files import account_thumbprint
from wellkeeper_issuer.outside.threads import DaemonThreads
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.ports import Clock

_READ_TRIES: Final = 3
# Includes retries after bad nonces and broken connections; a healthy CA never takes this long.
_GIVEN_UP_SECONDS: Final = 180.0
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 30.0
# All callers share one failed try for this long. Without a reply, for at most four times as long as the try took, so
# that a fixed network is noticed soon.
_UNAVAILABLE_SECONDS: Final = 20.0
_UNAVAILABLE_TIMES: Final = 4
# A CA that forgets the account again this soon would do so forever.
_FORGETS_AGAIN_SECONDS: Final = 3600.0
# A daemon runs for months, and CAs change what they offer.
_DIRECTORY_SECONDS: Final = 86_400.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Keyed:
    """The account key as it was read, and the network objects that sign with it, by thread."""

    stamp: tuple[int, int]
    key: JWK
    thumbprint: str
    local: threading.local


Work = Callable[[Network, messages.Directory], T]


class Connection:
    """Requests to one CA. The first call that needs the account finds or registers it, again if the CA forgot it."""

    def __init__(
        self, options: CaOptions, accounts: AccountFolder, clock: Clock, *, version: str, thread_count: int
    ) -> None:
        self.options = options
        self.accounts = accounts
        self.clock = clock
        self._registration = Registration(options, accounts, clock)
        self._user_agent = f"wellkeeper/{version} requests/{requests.__version__}"
        self._threads = DaemonThreads(thread_count, f"ca {options.name}")
        self._opening = asyncio.Lock()
        self._directory: messages.Directory | None = None
        self._account: messages.RegistrationResource | None = None
        self._unavailable: tuple[float, float, WellkeeperError] | None = None
        self._registered_again_at: float | None = None
        self._directory_until = 0.0
        self._keyed: _Keyed | None = None

    @property
    def key(self) -> JWK:
        """The account key, read again when another process (`account rollover`) replaced it. Raises SettingsError."""
        return self._present().key

    @property
    def thumbprint(self) -> str:
        """RFC 7638 thumbprint of the account key."""
        return self._present().thumbprint

    def close(self) -> None:
        """Stop the threads without waiting: a request under way ends by its own time-out."""
        self._threads.shutdown(wait=False)

    async def directory(self) -> messages.Directory:
        """Return the directory, read once per day. Raises OrderError."""
        async with self._opening:
            return await self._read_directory()

    async def nonce(self) -> None:
        """Get a fresh nonce (RFC 8555 section 7.2); raises OrderError."""
        directory = await self.directory()

        def task() -> None:
            with translated(OrderError, self.options.name, "a new nonce", self.clock):
                self.network_for(None).read_nonce(directory["newNonce"])

        await self.run(task)

    async def check_registration(self) -> None:
        """Raise what would stop a registration before the CA is asked; register nothing."""
        self._registration.check(await self.directory())

    async def account(self) -> tuple[messages.Directory, messages.RegistrationResource]:
        """Return directory and account. Raises SettingsError, and OrderError, again for a while after a failed try."""
        asked_at = self.clock.monotonic()
        async with self._opening:
            self._raise_if_unavailable(asked_at)
            began_at = self.clock.monotonic()
            try:
                directory = await self._read_directory()
                if self._account is None:
                    self._account = await self.run(lambda: self._registration.find(self.network(), directory))
            except WellkeeperError as error:
                now = self.clock.monotonic()
                seconds = (
                    _UNAVAILABLE_SECONDS
                    if error.problem
                    else min(_UNAVAILABLE_SECONDS, _UNAVAILABLE_TIMES * (now - began_at))
                )
                self._unavailable = (now, now + seconds, error)
                raise
            return directory, self._account

    async def call(self, kind: type[WellkeeperError], request: str, work: Work[T]) -> T:
        """Send a request once, with our account; twice when the CA forgot the account (a restarted test CA)."""
        directory, account = await self.account()
        try:
            return await self._send(kind, request, work, directory, account)
        except WellkeeperError as error:
            if error.problem is None or error.problem.name != "accountDoesNotExist":
                raise
            if not await self._register_again(account):
                raise
        return await self._send(kind, request, work, *await self.account())

    async def read(
        self, kind: type[WellkeeperError], request: str, url: str, parse: Callable[[str, requests.Response], T]
    ) -> T:
        """Read a resource by POST-as-GET (RFC 8555 section 6.3), with retries where they may help."""

        def work(network: Network, directory: messages.Directory) -> T:
            return parse(url, network.send(url, None, directory["newNonce"]))

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

    async def run(self, task: Callable[[], T]) -> T:
        """Run the task on one of the threads; one that hangs forever blocks only its thread. Raises OrderError."""
        try:
            async with asyncio.timeout(_GIVEN_UP_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._threads, task)
        except TimeoutError as error:
            raise OrderError(f"the CA {self.options.name} did not answer within {_GIVEN_UP_SECONDS:.0f} s") from error

    def network(self) -> Network:
        """Return this thread's network object, which signs with the account key."""
        keyed = self._present()
        network: Network | None = getattr(keyed.local, "network", None)
        if network is None:
            network = keyed.local.network = self.network_for(keyed.key)
        return network

    def network_for(self, key: JWK | None, algorithm: JWASignature | None = None) -> Network:
        """Return a new network object for another key, or for unsigned requests."""
        bundle = self.options.bundle
        algorithm = algorithm or (algorithm_of(key) if key else ES256)
        return Network(key, self.clock, user_agent=self._user_agent, ca_bundle=bundle, algorithm=algorithm)

    def _present(self) -> _Keyed:
        keyed = self._keyed
        if keyed is None or self.accounts.key_stamp(self.options.directory_url) != keyed.stamp:
            keyed = self._keyed = self._read_key()
        return keyed

    def _read_key(self) -> _Keyed:
        url = self.options.directory_url
        stamp, key = self.accounts.key_stamp(url), self.accounts.account_key(url)
        return _Keyed(stamp, account_jwk(key), account_thumbprint(key), threading.local())

    async def _send(
        self,
        kind: type[WellkeeperError],
        request: str,
        work: Work[T],
        directory: messages.Directory,
        account: messages.RegistrationResource,
    ) -> T:
        def task() -> T:
            with translated(kind, self.options.name, request, self.clock):
                network = self.network()
                network.account = account
                return work(network, directory)

        return await self.run(task)

    async def _read_directory(self) -> messages.Directory:
        url = self.options.directory_url

        def task() -> messages.Directory:
            with translated(OrderError, self.options.name, f"the request for its directory {url}", self.clock):
                return check_directory(self.network_for(None).read_directory(url))

        now = self.clock.monotonic()
        if self._directory is None or now >= self._directory_until:
            self._directory = await self.run(task)
            self._directory_until = now + _DIRECTORY_SECONDS
        return self._directory

    async def _register_again(self, forgotten: messages.RegistrationResource) -> bool:
        """Register a forgotten account again, once for all callers. Return False if that was done recently."""
        async with self._opening:
            if self._account is not forgotten:
                return True  # another caller did
            now, last = self.clock.monotonic(), self._registered_again_at
            if last is not None and now - last < _FORGETS_AGAIN_SECONDS:
                return False
            self._registered_again_at = now
            directory = await self._read_directory()
            self._account = await self.run(
                lambda: self._registration.find(self.network(), directory, is_forgotten=True)
            )
            return True

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
    if isinstance(error.__cause__, requests.ConnectionError | requests.Timeout):
        return 0.0
    problem = error.problem
    if problem is None or not is_passing(problem):
        return None
    asked = problem.retry_after_seconds or 0.0
    return asked if asked <= _LONGEST_PAUSE_SECONDS else None
