"""Publish and withdraw tokens at the control address of a responder: synchronous, one connection per call.

    responder = ResponderControl("unix:/run/wellkeeper/control.sock", publishing_key)
    publication = responder.publish(token, thumbprint, identifier)
    ...                                       # let the CA validate the challenge
    responder.withdraw(publication)

Both calls are idempotent. A responder forgets a publication by itself at `expires_at`.
"""

import contextlib
import http.client
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wellkeeper_client import permissions, wire
from wellkeeper_client.foreign_text import one_line
from wellkeeper_client.signing import (
    Permit,
    Publication,
    Withdrawal,
    sign_permit,
    sign_publication,
    sign_withdrawal,
)

_TIMEOUT_SECONDS: Final = 2.0
LIFETIME_SECONDS: Final = 600
_PERMIT_SECONDS: Final = 60
_MAX_REPLY_BYTES: Final = 1 << 20
# A responder may name a publisher, a long name and several others, and says what to do at the end.
_MAX_DETAIL: Final = 1000
_CHECK_ADDRESS: Final = "Check the address."
_CHECK_RUNS: Final = "Check that wellkeeper-responder runs with this --control address."
_RIGHTS: Final = "Give this user the group of the socket, or start wellkeeper-responder with --control-mode 0666."


class ResponderError(Exception):
    """The responder cannot be reached, or refused; the text names its address and says what to do: `why`, `remedy`.

    `status` is the HTTP status of a refusal, `problem` the last part of its type (RFC 9457); None otherwise.
    """

    def __init__(self, why: str, remedy: str = "", *, status: int | None = None, problem: str | None = None) -> None:
        super().__init__(f"{why}. {remedy}" if remedy else why)
        self.why = why
        self.remedy = remedy
        self.status = status
        self.problem = problem


class ResponderControl:
    """A client of one responder. `address` is `unix:PATH` or `HOST:PORT`; `now` returns the UNIX time.

    Its methods raise ResponderError. Connecting and the exchange that follows may take `timeout_seconds` each.
    """

    def __init__(
        self,
        address: str,
        publishing_key: Ed25519PrivateKey,
        *,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.address = address
        self._key = publishing_key
        self._timeout_seconds = timeout_seconds
        self._now = now

    def publish(
        self, token: str, thumbprint: str, identifier: str, *, lifetime_seconds: int = LIFETIME_SECONDS
    ) -> Publication:
        """Make the responder answer the token with `token "." thumbprint`. Return the publication, for `withdraw`."""
        now = int(self._now())
        publication = Publication(token, thumbprint, identifier, secrets.token_urlsafe(16), now, now + lifetime_seconds)
        self._call("PUT", wire.TOKENS_PREFIX + token, message=sign_publication(publication, self._key))
        return publication

    def withdraw(self, publication: Publication) -> None:
        """End only this publication, not a later one of the same token."""
        self.withdraw_jti(publication.token, publication.jti)

    def find_jti(self, token: str) -> str | None:
        """Return the `jti` of the active publication of the token, None if there is none."""
        try:
            return str(self._call("GET", wire.TOKENS_PREFIX + token).get("jti"))
        except ResponderError as error:
            if error.problem == "not-found":
                return None
            raise

    def withdraw_jti(self, token: str, jti: str) -> None:
        """End the publication with this `jti`."""
        now = int(self._now())
        withdrawal = Withdrawal(token, jti, now, now + LIFETIME_SECONDS)
        self._call("DELETE", wire.TOKENS_PREFIX + token, message=sign_withdrawal(withdrawal, self._key))

    def status(self) -> Mapping[str, Any]:
        """Return the document of `GET /v1/status`."""
        return self._call("GET", wire.STATUS_PATH)

    def _call(self, method: str, path: str, *, message: str | None = None) -> Mapping[str, Any]:
        status, body = self._exchange(method, path, message)
        found = _object(body)
        if status >= http.HTTPStatus.MULTIPLE_CHOICES:
            kind = found.get("type")
            is_known_type = isinstance(kind, str) and kind.startswith(wire.PROBLEM_PREFIX)
            problem = str(kind).removeprefix(wire.PROBLEM_PREFIX) if is_known_type else None
            detail = one_line(found.get("detail", ""), _MAX_DETAIL)
            what = f"{self.address} refused the request: HTTP {status}"
            if not detail:
                raise ResponderError(f"{what} without a reason", _CHECK_ADDRESS, status=status)
            raise ResponderError(f"{what}: {detail}", status=status, problem=problem)
        if status != http.HTTPStatus.NO_CONTENT and "instance_id" not in found:
            raise ResponderError(
                f"{self.address} is not a Wellkeeper responder, or its reply was cut short", _CHECK_ADDRESS
            )
        return found

    def _exchange(self, method: str, path: str, message: str | None) -> tuple[int, bytes]:
        """Return status and body, within the time-out even if the other side sends slowly."""
        is_late = threading.Event()
        try:
            with contextlib.closing(self._connection()) as connection:
                connection.connect()
                timer = threading.Timer(self._timeout_seconds, _abort, (connection.sock, is_late))
                timer.start()
                try:
                    connection.request(method, path, message, self._headers(message))
                    with connection.getresponse() as reply:  # keeps the socket open until closed
                        status, body = reply.status, reply.read(_MAX_REPLY_BYTES)
                finally:
                    timer.cancel()
                if is_late.is_set():  # what was read until then looks like a complete reply
                    raise TimeoutError
                return status, body
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._failure(error, is_late=is_late.is_set()) from error

    def _headers(self, message: str | None) -> dict[str, str]:
        if message:
            return {"Content-Type": wire.MESSAGE_MEDIA_TYPE}
        now = int(self._now())
        return {"Authorization": f"Bearer {sign_permit(Permit(now, now + _PERMIT_SECONDS), self._key)}"}

    def _failure(self, error: Exception, *, is_late: bool) -> ResponderError:
        if is_late or isinstance(error, TimeoutError):
            return ResponderError(
                f"{self.address} did not answer within {self._timeout_seconds:g} s", "Check the responder's log."
            )
        if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError | http.client.InvalidURL):
            return ResponderError(
                f"{self.address} is not a Wellkeeper responder: its reply is not HTTP", _CHECK_ADDRESS
            )
        remedy = _RIGHTS if isinstance(error, PermissionError) else _CHECK_RUNS
        return ResponderError(f"cannot reach {self.address}: {getattr(error, 'strerror', None) or error}", remedy)

    def _connection(self) -> http.client.HTTPConnection:
        if self.address.startswith("unix:"):
            return _UnixConnection(self.address.removeprefix("unix:"), self._timeout_seconds)
        return http.client.HTTPConnection(self.address, timeout=self._timeout_seconds)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_seconds: float) -> None:
        super().__init__("responder", timeout=timeout_seconds)
        self._path = path
        self._seconds = timeout_seconds

    def connect(self) -> None:
        """Raises ResponderError when others could put another socket there, and OSError."""
        if fault := permissions.find_socket_fault(Path(self._path)):
            raise ResponderError(f"cannot trust unix:{self._path}: {fault.why}", fault.remedy)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._seconds)
        self.sock.connect(self._path)


def _object(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object in the body, or an empty one, for replies without."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _abort(sock: socket.socket, is_late: threading.Event) -> None:
    is_late.set()
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
