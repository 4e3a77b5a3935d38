"""Publish tokens for another ACME client, prove that nginx serves them, and withdraw them from any process.

    publish ─▶ read back through nginx ─▶ served
                                     └─▶ withdrawn, PublisherError

Nothing is kept here: a withdrawal asks the responder which publication is active.
"""

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from wellkeeper_client import permissions, wire
from wellkeeper_client.foreign_text import without_link
from wellkeeper_client.nginx_read_back import find_fault
from wellkeeper_client.publish import LIFETIME_SECONDS, ResponderControl, ResponderError
from wellkeeper_client.signing import Publication

# A webroot does not say which name a token is for.
WEBROOT: Final = "webroot.invalid"
DEFAULT_CONTROL: Final = "unix:/run/wellkeeper/control.sock"
DEFAULT_KEY: Final = Path("/var/lib/wellkeeper/issuer/publishing_key.pem")
DEFAULT_THROUGH: Final = "127.0.0.1:80"

_NAME_IT: Final = "With --watch, add one of the publisher's names: wellkeeper-publish --watch DIR NAME."
_RIGHTS: Final = "Run the client as a user who may read a publishing key, and pass that key's file with --key."
# A token, or a key authorization, that begins with "-". Our options are shorter.
_LIKE_AN_OPTION: Final = re.compile(r"-[A-Za-z0-9_-]{21,127}(\.[A-Za-z0-9_-]{43})?")
# What a person must do about a refusal, by the type of the problem; else what the responder recommends.
_REMEDIES: Final = {
    "unknown-key": "Use a publishing key that the responder trusts: 'wellkeeper trust' shows them.",
    "clock": "Synchronize the clocks of both hosts.",
    "expired": "Synchronize the clocks of both hosts.",
}


class PublisherError(Exception):
    """Nothing is published; the CA must not be asked. Three lines: `what` failed, `why`, and the `remedy`, if any."""

    def __init__(self, what: str, why: str, remedy: str = "") -> None:
        super().__init__(what, why, remedy)
        self.lines = tuple(line for line in (what, why, remedy) if line)

    def __str__(self) -> str:
        return ": ".join(self.lines[:2]) + ". " + " ".join(self.lines[2:])


def shield(arguments: Iterable[str]) -> list[str]:
    """Return the arguments of a command line, with a space before each token that looks like an option."""
    return [f" {one}" if _LIKE_AN_OPTION.fullmatch(one) else one for one in arguments]


def parse_key_authorization(text: str) -> tuple[str, str]:
    """Return token and thumbprint (RFC 8555 section 8.1), without spaces around them. Raises ValueError."""
    token, _, thumbprint = text.strip().partition(".")
    if not wire.is_token(token) or wire.THUMBPRINT_PATTERN.fullmatch(thumbprint) is None:
        raise ValueError("expected TOKEN.THUMBPRINT, the token of the challenge and 43 characters of base64url")
    return token, thumbprint


def read_publishing_key(path: Path) -> Ed25519PrivateKey:
    """Return the Ed25519 key of a PEM file. Raises PublisherError, also when others may change the file."""
    what = f"cannot use publishing key {path}"
    if fault := permissions.find_fault(path):
        raise PublisherError(what, fault.why, fault.remedy)
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise PublisherError(what, error.strerror or str(error), _RIGHTS) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise PublisherError(what, f"it is not an unencrypted PEM key ({without_link(error)})", _RIGHTS) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise PublisherError(what, "it is not an Ed25519 key", "Name the publishing key, not an account key.")
    return key


class Publisher:
    """Publishes at one responder, and reads back through the nginx at `through`, as nginx_read_back describes it.

    Raises PublisherError.
    """

    def __init__(self, responder: ResponderControl, through: str) -> None:
        self._responder = responder
        self._through = through

    def publish(self, name: str, key_authorization: str) -> Publication:
        """Return when nginx serves the token for this name; withdraw it otherwise. Raises ValueError for bad syntax."""
        publication = self.send(name, key_authorization)
        try:
            self._read_back(name, publication)
        except BaseException:  # also a signal
            with contextlib.suppress(ResponderError):  # it expires
                self.end(publication)
            raise
        return publication

    def _read_back(self, name: str, publication: Publication) -> None:
        if fault := find_fault(self._through, name, publication):
            raise PublisherError(f"nginx at {self._through} does not serve the token for {name}", *fault)

    def send(self, name: str, key_authorization: str, *, lifetime_seconds: int = LIFETIME_SECONDS) -> Publication:
        """Publish without reading back."""
        token, thumbprint = parse_key_authorization(key_authorization)
        try:
            return self._responder.publish(token, thumbprint, name, lifetime_seconds=lifetime_seconds)
        except ResponderError as error:
            raise _refusal(f"cannot publish the token for {name}", error) from error

    def end(self, publication: Publication) -> None:
        """Withdraw this publication, not a later one of its token. Raises ResponderError."""
        self._responder.withdraw(publication)

    def has(self, token: str) -> bool:
        """Return whether something is published for the token, as far as the responder says."""
        try:
            return self._responder.find_jti(token) is not None
        except ResponderError:
            return True

    def withdraw(self, token: str) -> None:
        """Withdraw what is published for the token, if anything is."""
        try:
            jti = self._responder.find_jti(token)
            if jti is not None:
                self._responder.withdraw_jti(token, jti)
        except ResponderError as error:
            raise _refusal(f"cannot withdraw token {token}", error) from error


def _refusal(what: str, error: ResponderError) -> PublisherError:
    """Return the three lines. A responder's reason ends with what to do: `cause; remedy`."""
    why, _, advice = error.why.partition("; ")
    remedy = _NAME_IT if WEBROOT in why else _REMEDIES.get(error.problem or "", "")
    advice = f"{advice[:1].upper()}{advice[1:]}." if advice else error.remedy
    return PublisherError(what, why, remedy or advice)
