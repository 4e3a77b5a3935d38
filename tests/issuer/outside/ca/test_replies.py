"""Parsing of the CA's JSON: values taken unchanged, and refused members by name."""

from typing import Any

import pytest

from tests.fakes_deliver import dns
from tests.responder.messages import TOKEN
from wellkeeper_issuer.model import Authorization, Challenge, Order, Status
from wellkeeper_issuer.outside.ca.json_replies import ReplyError
from wellkeeper_issuer.outside.ca.replies import parse_authorization, parse_order
from wellkeeper_node.model import ERROR_PREFIX, Identifier, IdentifierType, Problem

URL = "https://ca.example/it"
# Valid, although decoding and encoding it again would change its last letter.
ODD_TOKEN = "A" * 42 + "B"
PROBLEM = {"type": f"{ERROR_PREFIX}dns", "detail": "no A record"}


def order(**changes: object) -> dict[str, Any]:
    """Return an order with changes; None removes a member."""
    whole = {"status": "pending", "authorizations": ["https://ca.example/authz/1"], "finalize": "https://ca.example/f"}
    return {name: value for name, value in (whole | changes).items() if value is not None}


def challenge(**changes: object) -> dict[str, Any]:
    whole = {"type": "http-01", "url": "https://ca.example/chall/1", "token": TOKEN, "status": "pending"}
    return {name: value for name, value in (whole | changes).items() if value is not None}


def authorization(**changes: object) -> dict[str, Any]:
    identifier = {"type": "dns", "value": "a.example"}
    whole = {"status": "pending", "identifier": identifier, "challenges": [{"type": "dns-01"}, challenge()]}
    return {name: value for name, value in (whole | changes).items() if value is not None}


def test_order_is_parsed_unchanged() -> None:
    body = order(status="invalid", certificate="https://ca.example/c", error=PROBLEM, expires="tomorrow")
    assert parse_order(URL, body, 7) == Order(
        URL,
        Status.INVALID,
        ("https://ca.example/authz/1",),
        "https://ca.example/f",
        "https://ca.example/c",
        Problem(f"{ERROR_PREFIX}dns", "no A record"),
        7,
    )


@pytest.mark.parametrize("status", Status)
def test_every_status_is_parsed(status: Status) -> None:
    assert parse_order(URL, order(status=status.value), None).status is status
    assert parse_authorization(URL, authorization(status=status.value), None).status is status


def test_authorization_is_parsed_unchanged() -> None:
    assert parse_authorization(URL, authorization(wildcard=False), 7) == Authorization(
        URL,
        dns("a.example"),
        Status.PENDING,
        Challenge("https://ca.example/chall/1", TOKEN, Status.PENDING),
        ("dns-01",),
        7,
    )


def test_token_is_kept_as_the_same_string() -> None:
    found = parse_authorization(URL, authorization(challenges=[challenge(token=ODD_TOKEN)]), None)
    assert found.challenge is not None
    assert found.challenge.token == ODD_TOKEN


def test_problem_of_the_ca_is_kept() -> None:
    found = parse_authorization(URL, authorization(challenges=[challenge(status="invalid", error=PROBLEM)]), None)
    assert found.challenge is not None
    assert found.challenge.problem == Problem(f"{ERROR_PREFIX}dns", "no A record")


def test_missing_http01_challenge_names_the_offered_ones() -> None:
    found = parse_authorization(
        URL, authorization(challenges=[{"type": "dns-01"}, {"type": "new-01", "token": 5}]), None
    )
    assert (found.challenge, found.other_challenges) == (None, ("dns-01", "new-01"))


def test_ip_address_identifier_is_parsed() -> None:
    found = parse_authorization(URL, authorization(identifier={"type": "ip", "value": "2001:DB8::7"}), None)
    assert found.identifier == Identifier(IdentifierType.IP, "2001:db8::7")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (order(authorizations=None), "order member 'authorizations' must be a list of URLs"),
        (order(authorizations=[5]), "order member 'authorizations' must be a list of URLs"),
        (order(finalize=None), "order member 'finalize' must be a string, got None"),
        (order(finalize=""), "order member 'finalize' must be a string, got ''"),
        (order(certificate=7), "order member 'certificate' must be a string, got 7"),
        (order(status=None), "order member 'status' must be a string, got None"),
        (order(status="done"), "order member 'status' is 'done', which RFC 8555 section 7.1.6 does not define"),
    ],
)
def test_invalid_order_is_refused(body: dict[str, Any], words: str) -> None:
    with pytest.raises(ReplyError, match="^" + words.replace("'", ".")):
        parse_order(URL, body, None)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (authorization(identifier=None), "authorization member 'identifier' must be a JSON object, got NoneType"),
        (authorization(identifier={"type": "dns"}), "identifier member 'value' must be a string, got None"),
        (
            authorization(identifier={"type": "mail", "value": "a@b"}),
            "cannot understand the identifier 'a@b' of type 'mail'",
        ),
        (authorization(identifier={"type": "ip", "value": "1.2.3"}), "cannot understand the identifier '1.2.3' of"),
        (authorization(identifier={"type": ["dns"], "value": "a"}), "identifier member 'type' must be a string"),
        (authorization(challenges=None), "authorization member 'challenges' must be a list"),
        (authorization(challenges=["http-01"]), "challenge must be a JSON object, got str"),
        (authorization(challenges=[challenge(token="../x" * 10)]), "challenge member 'token' must match"),
        (authorization(challenges=[challenge(token=TOKEN + "=")]), "challenge member 'token' must match"),
        (authorization(challenges=[challenge(token=None)]), "challenge member 'token' must be a string, got None"),
        (authorization(challenges=[challenge(url=None)]), "challenge member 'url' must be a string, got None"),
        (authorization(challenges=[challenge(status="new")]), "challenge member 'status' is 'new'"),
        (authorization(status="done"), "authorization member 'status' is 'done'"),
    ],
)
def test_invalid_authorization_is_refused(body: dict[str, Any], words: str) -> None:
    with pytest.raises(ReplyError, match="^" + words.replace("'", ".")):
        parse_authorization(URL, body, None)
