"""The network side of the acme library, with what it lacks.

Repeats badNonce, keeps HTTP status and Retry-After of every error, reads the problem document of a 409, and limits
connecting (5 s), reading (30 s) and the whole (90 s) apart. One object per thread: the library's nonces and session are
not shared.
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
# The library tries each of them twice. At 50 % rejection, a request in seventeen million fails; a CA rejects far fewer.
_NONCE_TRIES: Final = 12

# The library logs whole requests, tokens and account URLs at debug level.
logging.getLogger("acme.client").setLevel(logging.INFO)


class _Session(requests.Session):
    """Looks once a host, not with each request, which proxy and which roots the environment names for it."""

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[str, Any] = {}

    # As requests has it. All requests of a network object ask for the same.
    def merge_environment_settings(self, url: Any, *asked: Any, **named: Any) -> Any:  # noqa: ANN401
        host = urlsplit(url).netloc
        if host not in self._found:
            self._found[host] = super().merge_environment_settings(url, *asked, **named)
        return self._found[host]


class Network(client.ClientNetwork):
    """Raises ProblemError for every error reply, whatever form the CA gave it."""

    def __init__(
        self, key: JWK | None, clock: Clock, *, user_agent: str, ca_bundle: str | None, algorithm: JWASignature = ES256
    ) -> None:
        # Both go to requests as they stand, which takes a path and a pair of time-outs as well.
        verify: Any = ca_bundle or True
        timeout: Any = _TIMEOUT_SECONDS
        super().__init__(key, alg=algorithm, verify_ssl=verify, user_agent=user_agent, timeout=timeout)
        self._clock = clock
        self._replies: deque[requests.Response] = deque(maxlen=1)
        self.session = _Session()
        self.session.headers["Accept-Language"] = "en"
        self.session.hooks["response"].append(self._keep)

    def read_directory(self, url: str) -> messages.Directory:
        with self._problems():
            return messages.Directory.from_json(self.get(url).json())

    def read_nonce(self, url: str) -> None:
        """Raise ProblemError, or what the library raises."""
        with self._problems():
            self._get_nonce(url, url)

    def send(self, url: str, message: JSONDeSerializable | None, new_nonce_url: str) -> requests.Response:
        """A signed POST; a POST-as-GET when `message` is None. Raises ProblemError."""
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
                # The CA did what it was asked to; a nonce that it forgot or spoilt (RFC 8555 section 6.5.1 has it
                # ignored) must not cost us its reply: the URL of a new order comes once.
                if self._replies and self._replies[-1].ok and self._replies[-1].request.method == "POST":
                    return self._replies[-1]
                raise

    def _keep(self, response: requests.Response, *_: object, **__: object) -> None:
        read_body(response, self._clock)
        self._replies.append(response)
        asked = response.request
        _log.debug(
            "%s %s: %d in %.3f s", asked.method, asked.url, response.status_code, response.elapsed.total_seconds()
        )
        if not response.ok and self.REPLAY_NONCE_HEADER in response.headers:
            # RFC 8555 section 6.5: what is tried again has the nonce of the error, which the library throws away.
            self._nonces.clear()
            with suppress(errors.NonceError):
                self._add_nonce(response)

    @contextmanager
    def _problems(self) -> Iterator[None]:
        self._replies.clear()
        try:
            yield
        except (messages.Error, errors.ClientError) as error:
            # ConflictError is a ClientError; a ClientError without an error reply is the library's own complaint.
            if not self._replies or self._replies[-1].ok:
                raise
            raise ProblemError(read_problem(self._replies[-1], self._clock.now())) from error
