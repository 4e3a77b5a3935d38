"""The contract of issuers and responders: paths, claims, token syntax, limits.

It imports only the standard library, so that clients can copy this file. docs/design/0001-wire.md describes the same in
prose, with a test vector.
"""

import re
from collections.abc import Mapping
from typing import Final

# The path that the CA requests (RFC 8555 section 8.3).
CHALLENGE_PREFIX: Final = "/.well-known/acme-challenge/"

# RFC 8555 asks for base64url and 128 bits of entropy: 22 characters. Let's Encrypt uses 43; the upper bound is ours.
# nginx/snippets/challenge.conf has the same expression; a test compares the two.
TOKEN_SYNTAX: Final = "[A-Za-z0-9_-]{22,128}"
TOKEN_PATTERN: Final = re.compile(TOKEN_SYNTAX)

# RFC 7638 with SHA-256: 32 bytes are 43 characters of base64url.
THUMBPRINT_PATTERN: Final = re.compile("[A-Za-z0-9_-]{43}")

# The paths for issuers, on separate listeners.
TOKENS_PREFIX: Final = "/v1/tokens/"
FETCHES_PATH: Final = "/v1/fetches"
STATUS_PATH: Final = "/v1/status"
HEALTH_PATH: Final = "/healthz"
METRICS_PATH: Final = "/metrics"

# Signed messages: compact JWS (RFC 7515), EdDSA with Ed25519 (RFC 8037).
MESSAGE_MEDIA_TYPE: Final = "application/jose"
PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
PROBLEM_PREFIX: Final = "urn:wellkeeper:problem:"
ALGORITHM: Final = "EdDSA"
AUDIENCE: Final = "wellkeeper-responder"
PUBLISH_TYPE: Final = "wellkeeper-publish+jwt"
WITHDRAW_TYPE: Final = "wellkeeper-withdraw+jwt"
READ_TYPE: Final = "wellkeeper-read+jwt"

# The longest message, with a 253-character name and a 128-character token, has about 900 bytes.
MAX_MESSAGE_BYTES: Final = 4096
# An A-label name, an IP address, or any printable identifier that ACME may add.
IDENTIFIER_PATTERN: Final = re.compile("[!-~]{1,253}")
JTI_PATTERN: Final = re.compile("[A-Za-z0-9_-]{16,64}")

# CAs decide an authorization within minutes; an hour is generous.
MAX_LIFETIME_SECONDS: Final = 3600
# A clock that is ten minutes off must not prevent a renewal: the pin protects the site, not the clock.
MAX_CLOCK_SKEW_SECONDS: Final = 600
CLOCK_WARNING_SECONDS: Final = 60
MAX_WAIT_SECONDS: Final = 60
# Later times (after the year 280000) are mistakes, and lose precision as floating-point numbers.
MAX_TIME: Final = 2**43

# Sent by an issuer that reads its own token back through nginx; the request does not count as a fetch by the CA.
READ_BACK_HEADER: Final = "Wellkeeper-Read-Back"
# Set by nginx/snippets/challenge.conf: distinguishes a dead or unreadable socket (502, 504) from a missing token.
UPSTREAM_HEADER: Final = "Wellkeeper-Upstream"

# The body of a responder's 404 for an unknown token; the 404 of a server block without the location differs.
NO_SUCH_TOKEN: Final = "no such token\n"


class WireError(Exception):
    """A request that the responder refuses, with an RFC 9457 problem document.

    `status` is the HTTP status (4xx or 507), `name` the last part of the problem's type. The text names the mistake and
    what was expected; it never contains a signature or a key. `headers` are added to the answer.
    """

    def __init__(self, status: int, name: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.name = name
        self.detail = detail
        self.headers = dict(headers or {})


def key_authorization(token: str, thumbprint: str) -> str:
    """Return the text that the CA must read (RFC 8555 section 8.1)."""
    return f"{token}.{thumbprint}"


def is_token(text: str) -> bool:
    """Return true if `text` is a token (RFC 8555 section 8.3, within our bounds)."""
    return TOKEN_PATTERN.fullmatch(text) is not None
