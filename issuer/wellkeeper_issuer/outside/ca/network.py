"""Extend the network object of the acme library.

It retries badNonce, keeps HTTP status and Retry-After of every error, reads the problem document of a 409, and has
separate limits for connecting (5 s), reading (30 s) and the whole request (90 s). Use one object per thread: nonces and
sessions are not shared.
"""

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from acme import client, errors, messages
from josepy.interfaces import JSONDeSerializable
from josepy.jwa import ES256, JWASignature
from josepy.jwk import JWK

from wellkeeper_issuer.outside.ca.bodies import read_body
from wellkeeper_issuer.outside.ca.problems import ProblemError, read_problem
from wellkeeper_node.ports import Clock

_log = logging.getLogger(__name__)

_TIMEOUT_SECONDS: Final = (5, 30)
# The library tries each twice. Even if the CA rejects half of all nonces, 1 request in 17 million fails.
_NONCE_TRIES: Final = 12

# The library logs whole requests, tokens and account URLs at debug level.
logging.getLogger("acme.client").setLevel(logging.INFO)


class _Session(requests.Session):
    """A session that looks up proxy and roots in the environment once per host, not with each request."""

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[str, Any] = {}

    # Signature of requests. All requests of a network object use the same arguments.
    def merge_environment_settings(self, url: Any, *asked: Any, **named: Any) -> Any:  # noqa: ANN401
        host = urlsplit(url).netloc
        if host not in self._found:
            self._found[host] = super().merge_environment_settings(url, *asked, **named)
        return self._found[host]


class Network(client.ClientNetwork):
    """Signed requests to a CA. Every error reply raises ProblemError, whatever its form."""

    def __init__(
        self, key: JWK | None, clock: Clock, *, user_agent: str, ca_bundle: str | None, algorithm: JWASignature = ES256
    ) -> None:
        # The library passes both on to requests, which also accepts a path and a pair of time-outs.
        verify: Any = ca_bundle or True
        timeout: Any = _TIMEOUT_SECONDS
        super().__init__(key, alg=algorithm, verify_ssl=verify, user_agent=user_agent, timeout=timeout)
        self._clock = clock
        self._replies: deque[requests.Response] = deque(maxlen=1)
        self.session = _Session()
        self.session.headers["Accept-Language"] = "en"
        self.session.hooks["response"].append(self._keep)

    def read_directory(self, url: str) -> messages.Directory:
        """Read the directory with an unsigned GET. Raises ProblemError."""
        with self._problems():
            return messages.Directory.from_json(self.get(url).json())

    def read_nonce(self, url: str) -> None:
        """Raise ProblemError, or what the library raises."""
        with self._problems():
            self._get_nonce(url, url)

    def send(self, url: str, message: JSONDeSerializable | None, new_nonce_url: str) -> requests.Response:
        """Send a signed POST; a POST-as-GET when `message` is None. Raises ProblemError."""
        for _ in range(_NONCE_TRIES - 1):
            try:
                return self._send_once(url, message, new_nonce_url)
            except ProblemError as error:
                if error.problem.name != "badNonce":
                    raise
        return self._send_once(url, message, new_nonce_url)

    def _send_once(self, url: str, message: JSONDeSerializable | None, new_nonce_url: str) -> requests.Response:
        with self._problems():
            try:
                return self.post(url, message, new_nonce_url=new_nonce_url)
            except errors.NonceError:
                # The CA processed the request but sent no valid nonce, which RFC 8555 section 6.5.1 has clients ignore.
                # Keep the reply: the URL of a new order is sent only once.
                if self._replies and self._replies[-1].ok and self._replies[-1].request.method == "POST":
                    return self._replies[-1]
                raise

    def _keep(self, response: requests.Response, *_: object, **__: object) -> None:
        read_body(response, self._clock)
        self._replies.append(response)
        request, seconds = response.request, response.elapsed.total_seconds()
        _log.debug("%s %s: %d in %.3f s", request.method, request.url, response.status_code, seconds)
        if not response.ok and self.REPLAY_NONCE_HEADER in response.headers:
            # RFC 8555 section 6.5: a retry uses the nonce of the error reply, which the library discards.
            self._nonces.clear()
            with suppress(errors.NonceError):
                self._add_nonce(response)

    @contextmanager
    def _problems(self) -> Iterator[None]:
        self._replies.clear()
        try:
            yield
        except (messages.Error, errors.ClientError) as error:
            # ConflictError is a ClientError; without an error reply, the library itself raised it.
            if not self._replies or self._replies[-1].ok:
                raise
            raise ProblemError(read_problem(self._replies[-1], self._clock.now())) from error
