"""The contract of a relay with its issuer and its nodes: paths, limits, permits, addresses.

A node reads with a *permit*, a compact JWS of its own Ed25519 key. All else that passes is a signed record.
docs/design/0023-records-and-relay.md describes the same in prose.
"""

import ipaddress
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wellkeeper_client.compact_jws import MessageError, malformed, verify
from wellkeeper_client.records import NAME_PATTERN
from wellkeeper_client.signing import sign_claims

# GET: the changes of the kinds in the query, POST the same after a node's report in the body was stored; PUT, GET and
# DELETE of RECORDS_PATH/KEY: one record.
RECORDS_PATH: Final = "/v1/records"
# POST acquires, PUT extends; only on the issuer's socket.
LEASE_PATH: Final = "/v1/lease"
# POST of JOIN_PATH/ID: a request to join, by a stranger with the invite ID; the reply has the issuer's answer.
JOIN_PATH: Final = "/v1/join"
JOIN_MEDIA_TYPE: Final = "application/json"
# The reply comes earlier if there is an answer.
JOIN_WAIT_SECONDS: Final = 20

MAX_WAIT_SECONDS: Final = 60
MAX_LEASE_SECONDS: Final = 3600
# Of one reply, before its last record.
PAGE_BYTES: Final = 256 * 1024

PERMIT_TYPE: Final = "wellkeeper-relay-read+jwt"
AUDIENCE: Final = "wellkeeper-relay"
LONGEST_PERMIT: Final = 1024
PERMIT_SECONDS: Final = 3600
# A permit that was copied only reads what is signed and sealed; a node whose clock is off must still get certificates.
PERMIT_SKEW_SECONDS: Final = 86_400

_CLAIMS: Final = frozenset({"aud", "node", "iat", "exp"})


def sign_permit(node: str, now: float, key: Ed25519PrivateKey) -> str:
    """Return the message for `Authorization: Bearer`, which lets the node read for an hour."""
    issued_at = int(now)
    claims = {"aud": AUDIENCE, "node": node, "iat": issued_at, "exp": issued_at + PERMIT_SECONDS}
    return sign_claims(PERMIT_TYPE, claims, key)


def check_permit(message: bytes, keys: Mapping[str, Ed25519PublicKey], now: float) -> tuple[str, int]:
    """Return the permit's node and end; the caller checks that the key is this node's. Raises MessageError."""
    claims = verify(message, keys, PERMIT_TYPE, LONGEST_PERMIT)
    node, issued_at, expires_at = claims.get("node"), claims.get("iat"), claims.get("exp")
    if claims.keys() != _CLAIMS or claims["aud"] != AUDIENCE:
        raise malformed(f"the claims must be {', '.join(sorted(_CLAIMS))}, with 'aud' {AUDIENCE!r}")
    if not isinstance(node, str) or NAME_PATTERN.fullmatch(node) is None:
        raise malformed("claim 'node' must be the name of a node")
    if type(issued_at) is not int or type(expires_at) is not int or not 0 < expires_at - issued_at <= PERMIT_SECONDS:
        raise malformed(f"'iat' and 'exp' must be UNIX times, at most {PERMIT_SECONDS} s apart")
    if not issued_at - PERMIT_SKEW_SECONDS <= now <= expires_at + PERMIT_SKEW_SECONDS:
        raise MessageError("expired", "the permit is not valid at this time; synchronize the clocks by NTP")
    return node, expires_at


def is_name(host: str) -> bool:
    """Return False for an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False


def is_private(host: str) -> bool:
    """Return whether plain HTTP is allowed to this IP address: no network outside may route to it.

    These are loopback, private and link-local addresses, and those of carriers and overlay networks (RFC 6598).
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return not (address.is_global or address.is_unspecified or address.is_multicast)
