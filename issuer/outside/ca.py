"""The CA: an ACME server and our account at it (RFC 8555), the only place that runs the acme library.

The library is synchronous: it runs on threads of its own, each with a network object of its own. Reads are repeated
when the line breaks or the CA is busy; what changes something at the CA is sent once, and the caller looks again.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import requests
from acme import messages
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from josepy.b64 import b64encode
from josepy.json_util import JSONObjectWithFields
from josepy.jwk import JWKEC
from josepy.util import ComparableECKey

from issuer.errors import ChallengeError, FinalizeError, OrderError, Retry, WellkeeperError
from issuer.model import Authorization, Challenge, Identifier, Order
from issuer.outside.accounts import AccountFolder
from issuer.outside.ca_network import Network, ProblemError, is_passing, retry_after_seconds, translated
from issuer.outside.ca_replies import parse_authorization, parse_order
from issuer.outside.threads import DaemonThreads
from issuer.ports import Clock

# Pebble was seen to hang under 32 clients at once; more than a few help nobody, since the CA's limits come first.
_THREADS: Final = 4
_READ_TRIES: Final = 3
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 30.0

T = TypeVar("T")


class _EmptyMessage(JSONObjectWithFields):
    """`{}`: the answer to an http-01 challenge (RFC 8555 section 7.5.1)."""

    def __bool__(self) -> bool:
        """Without fields it would be false, and the library sends nothing, a POST-as-GET, for what is false."""
        return True


def account_thumbprint(account_key: ec.EllipticCurvePrivateKey) -> str:
    """RFC 7638, SHA-256, base64url: what responders are pinned to."""
    return _thumbprint(_jwk(account_key))


class AcmeAuthority:
    """Implements `ports.CertificateAuthority`. The account is found or made with the first call that needs it."""

    def __init__(
        self, directory_url: str, accounts: AccountFolder, clock: Clock, *, ca_bundle: str | None, version: str
    ) -> None:
        self._directory_url = directory_url
        self._accounts = accounts
        self._clock = clock
        self._ca_bundle = ca_bundle
        self._user_agent = f"wellkeeper/{version} requests/{requests.__version__}"
        self._key = _jwk(accounts.account_key)
        self._threads = DaemonThreads(_THREADS, "ca")
        self._local = threading.local()
        self._opening = asyncio.Lock()
        self._directory: messages.Directory | None = None
        self._account: messages.RegistrationResource | None = None

    @property
    def name(self) -> str:
        return self._directory_url

    async def account_url(self) -> str:
        _, account = await self._open()
        return str(account.uri)

    @property
    def directory_url(self) -> str:
        return self._directory_url

    @property
    def thumbprint(self) -> str:
        return _thumbprint(self._key)

    def close(self) -> None:
        """Waits for nobody: a request under way is left to its own time-out."""
        self._threads.shutdown(wait=False)

    async def new_order(self, identifiers: Sequence[Identifier], profile: str | None, replaces: str | None) -> Order:  # noqa: ARG002
        message = messages.NewOrder(
            identifiers=[
                messages.Identifier(typ=messages.IdentifierType(identifier.type.value), value=identifier.value)
                for identifier in identifiers
            ],
            profile=profile,
        )

        def work(network: Network, directory: messages.Directory) -> Order:
            reply = network.send(directory["newOrder"], message, directory["newNonce"])
            return parse_order(_location(reply), reply.json(), retry_after_seconds(reply))

        return await self._call(OrderError, "newOrder", work)

    async def read_order(self, url: str) -> Order | None:
        try:
            return await self._read(OrderError, f"reading order {url}", url, _order)
        except OrderError as error:
            if error.problem and error.problem.status in {403, 404}:
                return None
            raise

    async def read_authorization(self, url: str) -> Authorization:
        return await self._read(ChallengeError, f"reading authorization {url}", url, _authorization)

    async def answer_challenge(self, challenge: Challenge) -> None:
        def work(network: Network, directory: messages.Directory) -> None:
            network.send(challenge.url, _EmptyMessage(), directory["newNonce"])

        await self._call(ChallengeError, f"answering challenge {challenge.url}", work)

    async def finalize(self, order: Order, csr_der: bytes) -> Order:
        message = messages.CertificateRequest(csr=x509.load_der_x509_csr(csr_der))

        def work(network: Network, directory: messages.Directory) -> Order | None:
            try:
                reply = network.send(order.finalize_url, message, directory["newNonce"])
            except ProblemError as error:
                if error.problem.name == "orderNotReady":
                    return None
                raise
            return parse_order(order.url, reply.json(), retry_after_seconds(reply))

        found = await self._call(FinalizeError, f"finalizing order {order.url}", work)
        if found is not None:
            return found
        return await self._read(FinalizeError, f"reading order {order.url}", order.url, _order)

    async def read_chain(self, order: Order) -> bytes:
        url = order.certificate_url
        if url is None:
            raise FinalizeError(f"the CA's order {order.url} is valid but names no certificate; report this to the CA")
        return await self._read(FinalizeError, f"reading certificate {url}", url, lambda _, reply: reply.content)

    async def _read(
        self, kind: type[WellkeeperError], doing: str, url: str, parse: Callable[[str, requests.Response], T]
    ) -> T:
        """POST-as-GET (RFC 8555 section 6.3), repeated while that may help."""

        def work(network: Network, directory: messages.Directory) -> T:
            return parse(url, network.send(url, None, directory["newNonce"]))

        pause_seconds = _FIRST_PAUSE_SECONDS
        for _ in range(_READ_TRIES - 1):
            try:
                return await self._call(kind, doing, work)
            except WellkeeperError as error:
                asked = _pause_asked_for(error)
                if asked is None:
                    raise
            await self._clock.sleep(max(asked, pause_seconds))
            pause_seconds *= 4
        return await self._call(kind, doing, work)

    async def _call(
        self, kind: type[WellkeeperError], doing: str, work: Callable[[Network, messages.Directory], T]
    ) -> T:
        directory, account = await self._open()

        def task() -> T:
            with translated(kind, doing):
                network = self._network()
                network.account = account
                return work(network, directory)

        try:
            return await self._run(task)
        except WellkeeperError as error:
            if error.problem is None or error.problem.name != "accountDoesNotExist":
                raise
            # The CA forgot us (a test CA restarted): the next call registers the same key again.
            self._account = None
            self._accounts.forget_url(self._directory_url)
            raise kind(f"{error}; run renew again, it registers the account anew", problem=error.problem) from error

    async def _run(self, task: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, task)

    async def _open(self) -> tuple[messages.Directory, messages.RegistrationResource]:
        async with self._opening:
            if self._directory is None:
                self._directory = await self._run(self._read_directory)
            if self._account is None:
                directory = self._directory
                self._account = await self._run(lambda: self._find_account(directory))
            return self._directory, self._account

    def _read_directory(self) -> messages.Directory:
        with translated(OrderError, f"reading the directory {self._directory_url}"):
            directory = self._network().read_directory(self._directory_url)
            for name in ("newNonce", "newAccount", "newOrder"):
                if not isinstance(directory[name], str):
                    raise ValueError(f"directory member {name!r} must be a URL")
            return directory

    def _find_account(self, directory: messages.Directory) -> messages.RegistrationResource:
        url = self._accounts.read_url(self._directory_url)
        if url is None:
            url = self._register(directory)
            self._accounts.record_url(self._directory_url, url)
        return messages.RegistrationResource(uri=url, body=messages.Registration())

    def _register(self, directory: messages.Directory) -> str:
        """newAccount answers with the existing account when the key is known (RFC 8555 section 7.3.1)."""
        terms = directory["meta"].terms_of_service
        if terms and not self._accounts.terms_of_service_agreed:
            raise OrderError(
                f"the CA asks to agree to its terms of service at {terms}; read them, then set "
                "terms_of_service_agreed = true",
                retry=Retry.NEVER,
            )
        message = messages.NewRegistration(
            contact=tuple(self._accounts.contact), terms_of_service_agreed=True if terms else None
        )
        with translated(OrderError, "newAccount"):
            network = self._network()
            network.account = None
            return _location(network.send(directory["newAccount"], message, directory["newNonce"]))

    def _network(self) -> Network:
        network: Network | None = getattr(self._local, "network", None)
        if network is None:
            network = Network(self._key, user_agent=self._user_agent, ca_bundle=self._ca_bundle)
            self._local.network = network
        return network


def _order(url: str, reply: requests.Response) -> Order:
    return parse_order(url, reply.json(), retry_after_seconds(reply))


def _authorization(url: str, reply: requests.Response) -> Authorization:
    return parse_authorization(url, reply.json(), retry_after_seconds(reply))


def _location(reply: requests.Response) -> str:
    url = reply.headers.get("Location")
    if not url:
        raise ValueError("the reply has no Location header")
    return url


def _pause_asked_for(error: WellkeeperError) -> float | None:
    """How long to wait before the same read is worth another try; None when it is not."""
    if isinstance(error.__cause__, requests.ConnectionError | requests.Timeout):
        return 0.0
    problem = error.problem
    if problem is None or not is_passing(problem):
        return None
    asked = problem.retry_after_seconds or 0.0
    return asked if asked <= _LONGEST_PAUSE_SECONDS else None


def _jwk(account_key: ec.EllipticCurvePrivateKey) -> JWKEC:
    return JWKEC(key=ComparableECKey(account_key))


def _thumbprint(key: JWKEC) -> str:
    return b64encode(key.thumbprint(hash_function=SHA256)).decode()
