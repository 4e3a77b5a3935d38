"""The network side of the acme library, with what it lacks, and the one translation of its errors.

Repeats badNonce, keeps HTTP status and Retry-After of every error, reads the problem document of a 409, and limits
connecting (5 s) and reading (30 s) apart. One object per thread: the library's nonces and session are not shared.
"""

import email.utils
import logging
import math
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final

import josepy.errors
import requests
from acme import client, errors, messages
from josepy.interfaces import JSONDeSerializable
from josepy.jwa import ES256
from josepy.jwk import JWK

from issuer.errors import Retry, WellkeeperError
from issuer.model import Problem

_TIMEOUT_SECONDS: Final = (5, 30)
# The library tries each of them twice. At 50 % rejection, a request in seventeen million fails; a CA rejects far fewer.
_NONCE_TRIES: Final = 12
# A CA that asks for more than an hour's patience has to wait for the next pass.
_LONGEST_RETRY_AFTER_SECONDS: Final = 3600.0
_NEVER: Final = frozenset(
    {"rejectedIdentifier", "unsupportedIdentifier", "externalAccountRequired", "userActionRequired"}
)
_LATER: Final = frozenset({"rateLimited", "caa", "unauthorized", "serverInternal"})

# The library logs whole requests, tokens and account URLs at debug level.
logging.getLogger("acme.client").setLevel(logging.INFO)


class ProblemError(Exception):
    """The CA answered with an error; not seen outside this module and `ca`."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Network(client.ClientNetwork):
    """Raises ProblemError for every error reply, whatever form the CA gave it."""

    def __init__(self, key: JWK, *, user_agent: str, ca_bundle: str | None) -> None:
        # Both go to requests as they stand, which takes a path and a pair of time-outs as well.
        verify: Any = ca_bundle or True
        timeout: Any = _TIMEOUT_SECONDS
        super().__init__(key, alg=ES256, verify_ssl=verify, user_agent=user_agent, timeout=timeout)
        self._replies: deque[requests.Response] = deque(maxlen=1)
        self.session.headers["Accept-Language"] = "en"
        self.session.hooks["response"].append(self._keep)

    def read_directory(self, url: str) -> messages.Directory:
        with self._problems():
            return messages.Directory.from_json(self.get(url).json())

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
        self._replies.append(response)
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
            raise ProblemError(read_problem(self._replies[-1])) from error


def read_problem(response: requests.Response) -> Problem:
    """The problem document of an error reply; one made of the status line when the body is something else."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, Mapping):
        return parse_problem(body, response.status_code, retry_after_seconds(response))
    text = " ".join(response.text.split())[:200] or "no body"
    return Problem(
        "about:blank",
        f"the reply is no problem document: {text}",
        response.status_code,
        retry_after_seconds(response),
    )


def parse_problem(body: Mapping[str, Any], status: int | None = None, retry_after: float | None = None) -> Problem:
    identifier = body.get("identifier")
    subproblems = body.get("subproblems")
    return Problem(
        type=str(body.get("type", "about:blank")),
        detail=str(body.get("detail", "no detail given")),
        status=status or (body["status"] if isinstance(body.get("status"), int) else None),
        retry_after_seconds=retry_after,
        identifier=str(identifier.get("value")) if isinstance(identifier, Mapping) else None,
        subproblems=tuple(parse_problem(sub) for sub in subproblems if isinstance(sub, Mapping))
        if isinstance(subproblems, list)
        else (),
    )


def retry_after_seconds(response: requests.Response) -> float | None:
    """Retry-After as seconds or as an HTTP date (RFC 9110 section 10.2.3), within 0 to an hour; None when senseless."""
    text = response.headers.get("Retry-After")
    if not text:
        return None
    if text.strip().isdecimal():
        seconds = float(text)
    else:
        try:
            at = email.utils.parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_SECONDS)


@contextmanager
def translated(kind: type[WellkeeperError], doing: str) -> Iterator[None]:
    """The families of errors that the library lets through become one of ours: `kind`, saying what was tried."""
    try:
        yield
    except ProblemError as error:
        text = f"{doing}: the CA says {error.problem}{_asked_for(error.problem)}"
        raise kind(text, problem=error.problem, retry=_retry(error.problem)) from error
    except requests.exceptions.JSONDecodeError as error:
        # A RequestException, although the answer came.
        raise kind(_not_understood(doing, error)) from error
    except requests.exceptions.SSLError as error:
        raise kind(
            f"{doing}: the CA's own certificate is not trusted: {_root(error)}; for a test CA set ca_bundle"
        ) from error
    except requests.RequestException as error:
        raise kind(
            f"{doing}: no answer from the CA: {_root(error)}; check network, proxy and DNS of this host"
        ) from error
    except OSError as error:
        raise kind(f"{doing}: {error}; is ca_bundle a PEM file that this user may read?") from error
    except (errors.Error, josepy.errors.Error, KeyError, TypeError, ValueError, AttributeError) as error:
        raise kind(_not_understood(doing, error)) from error


def _asked_for(problem: Problem) -> str:
    seconds = problem.retry_after_seconds
    return "" if seconds is None else f"; it asks to wait {math.ceil(seconds)} s, then run renew again"


def _not_understood(doing: str, error: Exception) -> str:
    return f"{doing}: the CA's reply cannot be understood: {type(error).__name__}: {error!s:.300}"


def _retry(problem: Problem) -> Retry:
    if problem.name in _NEVER:
        return Retry.NEVER
    return Retry.LATER if problem.name in _LATER else Retry.SOON


def _root(error: BaseException) -> str:
    """The innermost reason; requests and urllib3 wrap it in names of objects."""
    while (inner := error.__cause__ or error.__context__ or next(filter(_is_error, error.args), None)) is not None:
        error = inner
    return f"{type(error).__name__}: {error!s:.200}"


def _is_error(value: object) -> bool:
    return isinstance(value, BaseException)


def is_passing(problem: Problem) -> bool:
    """Whether the same read may succeed shortly: the CA is busy or limits us."""
    return problem.status in {429, 500, 502, 503, 504}
