"""The way to one CA: its directory, our account there, signed requests on threads.

The acme library is synchronous: it runs on threads of its own, each with a network object of its own. Reads are
repeated when the line breaks or the CA is busy; what changes something at the CA is sent once, and the caller looks
again.
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
# Nonces that are refused and lines that break are tried again inside; nothing well takes this long.
_GIVEN_UP_SECONDS: Final = 180.0
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 30.0
# All who wait for a CA that is away are told so by one try. What it refused is not asked for again before this is over;
# when nothing was heard of it, four times as long as that took: whoever mended the network need not wait.
_AWAY_SECONDS: Final = 20.0
_AWAY_TIMES: Final = 4
# A CA that forgets the account again this soon will forget it for ever.
_FORGETS_AGAIN_SECONDS: Final = 3600.0
# A daemon lives for months; what its CAs can do changes.
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
    """The account is found or made with the first call that needs it, and again when the CA forgot it."""

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
        self._away: tuple[float, float, WellkeeperError] | None = None
        self._remembered_at: float | None = None
        self._directory_until = 0.0
        self._keyed: _Keyed | None = None

    @property
    def key(self) -> JWK:
        """Read again when another process changed it: `account rollover` beside a daemon. Raises SettingsError."""
        return self._present().key

    @property
    def thumbprint(self) -> str:
        """Of that key (RFC 7638)."""
        return self._present().thumbprint

    def close(self) -> None:
        """Waits for nobody: a request under way is left to its own time-out."""
        self._threads.shutdown(wait=False)

    async def directory(self) -> messages.Directory:
        """Raises OrderError; asked for once."""
        async with self._opening:
            return await self._read_directory()

    async def nonce(self) -> None:
        """Get a fresh nonce (RFC 8555 section 7.2); raises OrderError."""
        directory = await self.directory()

        def task() -> None:
            with translated(OrderError, f"reading a nonce of {self.options.name}", self.clock):
                self.network_for(None).read_nonce(directory["newNonce"])

        await self.run(task)

    async def check_registration(self) -> None:
        """Raise what would stop a registration before the CA is asked; register nothing."""
        self._registration.check(await self.directory())

    async def account(self) -> tuple[messages.Directory, messages.RegistrationResource]:
        """Raises OrderError, also for a while after a try that failed, and SettingsError."""
        asked_at = self.clock.monotonic()
        async with self._opening:
            self._raise_if_away(asked_at)
            began_at = self.clock.monotonic()
            try:
                directory = await self._read_directory()
                if self._account is None:
                    self._account = await self.run(lambda: self._registration.find(self.network(), directory))
            except WellkeeperError as error:
                now = self.clock.monotonic()
                seconds = _AWAY_SECONDS if error.problem else min(_AWAY_SECONDS, _AWAY_TIMES * (now - began_at))
                self._away = (now, now + seconds, error)
                raise
            return directory, self._account

    async def call(self, kind: type[WellkeeperError], doing: str, work: Work[T]) -> T:
        """Sent once, with our account; twice when the CA forgot that (a test CA restarted)."""
        directory, account = await self.account()
        try:
            return await self._send(kind, doing, work, directory, account)
        except WellkeeperError as error:
            if error.problem is None or error.problem.name != "accountDoesNotExist":
                raise
            if not await self._remember(account):
                raise
        return await self._send(kind, doing, work, *await self.account())

    async def read(
        self, kind: type[WellkeeperError], doing: str, url: str, parse: Callable[[str, requests.Response], T]
    ) -> T:
        """POST-as-GET (RFC 8555 section 6.3), repeated while that may help."""

        def work(network: Network, directory: messages.Directory) -> T:
            return parse(url, network.send(url, None, directory["newNonce"]))

        pause_seconds = _FIRST_PAUSE_SECONDS
        for _ in range(_READ_TRIES - 1):
            try:
                return await self.call(kind, doing, work)
            except WellkeeperError as error:
                asked = _pause_asked_for(error)
                if asked is None:
                    raise
            await self.clock.sleep(max(asked, pause_seconds))
            pause_seconds *= 4
        return await self.call(kind, doing, work)

    async def run(self, task: Callable[[], T]) -> T:
        """On one of the threads; one that hangs for ever, in a header that trickles, holds up nobody but itself."""
        try:
            async with asyncio.timeout(_GIVEN_UP_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._threads, task)
        except TimeoutError as error:
            raise OrderError(f"no answer from the CA {self.options.name} within {_GIVEN_UP_SECONDS:.0f} s") from error

    def network(self) -> Network:
        """Of this thread, with the account key."""
        keyed = self._present()
        network: Network | None = getattr(keyed.local, "network", None)
        if network is None:
            network = keyed.local.network = self.network_for(keyed.key)
        return network

    def network_for(self, key: JWK | None, algorithm: JWASignature | None = None) -> Network:
        """A new one for another key, or for requests that nobody signs."""
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
        doing: str,
        work: Work[T],
        directory: messages.Directory,
        account: messages.RegistrationResource,
    ) -> T:
        def task() -> T:
            with translated(kind, doing, self.clock):
                network = self.network()
                network.account = account
                return work(network, directory)

        return await self.run(task)

    async def _read_directory(self) -> messages.Directory:
        url = self.options.directory_url

        def task() -> messages.Directory:
            with translated(OrderError, f"reading the directory {url}", self.clock):
                return check_directory(self.network_for(None).read_directory(url))

        now = self.clock.monotonic()
        if self._directory is None or now >= self._directory_until:
            self._directory = await self.run(task)
            self._directory_until = now + _DIRECTORY_SECONDS
        return self._directory

    async def _remember(self, forgotten: messages.RegistrationResource) -> bool:
        """Registers the account anew, once for all who found it forgotten; False when that was done just now."""
        async with self._opening:
            if self._account is not forgotten:
                return True  # somebody else did
            now, last = self.clock.monotonic(), self._remembered_at
            if last is not None and now - last < _FORGETS_AGAIN_SECONDS:
                return False
            self._remembered_at = now
            directory = await self._read_directory()
            self._account = await self.run(
                lambda: self._registration.find(self.network(), directory, is_forgotten=True)
            )
            return True

    def _raise_if_away(self, asked_at: float) -> None:
        if self._away is None:
            return
        since, until, error = self._away
        if asked_at > since and asked_at >= until:
            return
        raise type(error)(str(error), problem=error.problem, retry=error.retry, retry_at=error.retry_at)


def _pause_asked_for(error: WellkeeperError) -> float | None:
    """How long to wait before the same read is worth another try; None when it is not."""
    if isinstance(error.__cause__, requests.ConnectionError | requests.Timeout):
        return 0.0
    problem = error.problem
    if problem is None or not is_passing(problem):
        return None
    asked = problem.retry_after_seconds or 0.0
    return asked if asked <= _LONGEST_PAUSE_SECONDS else None
