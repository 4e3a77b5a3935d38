"""Parse JSON replies of a CA into the types of `wellkeeper_issuer.model`.

Tokens stay exactly as the CA wrote them (the acme library decodes and re-encodes them, which changes some). A status
outside RFC 8555 section 7.1.6 is refused. Raises ReplyError naming the wrong member.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from wellkeeper_client.wire import TOKEN_SYNTAX, is_token
from wellkeeper_issuer.model import Authorization, Challenge, Order, Status
from wellkeeper_issuer.outside.ca.json_replies import ReplyError
from wellkeeper_issuer.outside.ca.problems import parse_problem
from wellkeeper_node.foreign_text import cleaned
from wellkeeper_node.model import Identifier, IdentifierType


def parse_order(url: str, members: Mapping[str, Any], retry_after_seconds: float | None) -> Order:
    """Parse an order. Raises ReplyError."""
    authorizations = members.get("authorizations")
    if not isinstance(authorizations, list) or not all(isinstance(entry, str) for entry in authorizations):
        raise ReplyError("order member 'authorizations' must be a list of URLs")
    problem = members.get("error")
    return Order(
        url=url,
        status=_status(members, "order"),
        authorization_urls=tuple(map(cleaned, authorizations)),
        finalize_url=_text(members, "finalize", "order"),
        certificate_url=_text(members, "certificate", "order") if "certificate" in members else None,
        problem=parse_problem(problem) if isinstance(problem, Mapping) else None,
        retry_after_seconds=retry_after_seconds,
    )


def parse_authorization(url: str, members: Mapping[str, Any], retry_after_seconds: float | None) -> Authorization:
    """Parse an authorization with its http-01 challenge. Raises ReplyError."""
    challenges = members.get("challenges")
    if not isinstance(challenges, list):
        raise ReplyError("authorization member 'challenges' must be a list")
    offered = [_object(entry, "challenge") for entry in challenges]
    http01 = next((entry for entry in offered if entry.get("type") == "http-01"), None)
    return Authorization(
        url=url,
        identifier=_identifier(_object(members.get("identifier"), "authorization member 'identifier'")),
        status=_status(members, "authorization"),
        challenge=_challenge(http01) if http01 else None,
        other_challenges=tuple(cleaned(entry.get("type")) for entry in offered if entry is not http01),
        retry_after_seconds=retry_after_seconds,
    )


def _identifier(members: Mapping[str, Any]) -> Identifier:
    kind, value = _text(members, "type", "identifier"), _text(members, "value", "identifier").lower()
    try:
        return Identifier(IdentifierType(kind), ip_address(value).compressed if kind == IdentifierType.IP else value)
    except ValueError:
        raise ReplyError(f"cannot understand the identifier {value!r:.80} of type {kind!r:.40}") from None


def _challenge(members: Mapping[str, Any]) -> Challenge:
    token = _text(members, "token", "challenge")
    if not is_token(token):
        raise ReplyError(f"challenge member 'token' must match {TOKEN_SYNTAX}, got {token!r:.80}")
    problem = members.get("error")
    return Challenge(
        url=_text(members, "url", "challenge"),
        token=token,
        status=_status(members, "challenge"),
        problem=parse_problem(problem) if isinstance(problem, Mapping) else None,
    )


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ReplyError(f"{what} must be a JSON object, got {type(value).__name__}")
    return value


def _text(members: Mapping[str, Any], name: str, what: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise ReplyError(f"{what} member {name!r} must be a string, got {value!r:.80}")
    return cleaned(value)


def _status(members: Mapping[str, Any], what: str) -> Status:
    text = _text(members, "status", what)
    try:
        return Status(text)
    except ValueError:
        raise ReplyError(
            f"{what} member 'status' is {text!r:.40}, which RFC 8555 section 7.1.6 does not define"
        ) from None
