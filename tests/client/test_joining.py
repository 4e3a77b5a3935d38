"""Formats of joining: whatever is damaged, forged or too long is refused."""

import base64
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from tests.joins import INVITE, NONCE, OTHER, PINS, SECRET, WEB9, answer, request
from wellkeeper_client import joining
from wellkeeper_client.joining import (
    JoinRefusal,
    Pins,
    parse_answer,
    parse_invite,
    parse_pins,
    parse_refusal,
    parse_request,
)


def line(**changes: Any) -> str:  # noqa: ANN401 - JSON
    members = json.loads(base64.urlsafe_b64decode(INVITE.line.removeprefix("wk1.") + "=="))
    members = {name: value for name, value in (members | changes).items() if value is not None}
    return "wk1." + base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode()


def test_invite_is_one_word_and_reads_back() -> None:
    assert parse_invite(f"  {INVITE.line}\n") == INVITE
    assert len(INVITE.line.split()) == 1
    assert len(INVITE.line) < 400


def test_reusable_invite_names_no_node_and_its_requests_have_names_of_their_own() -> None:
    invite = replace(INVITE, node="", is_reusable=True)
    assert parse_invite(invite.line) == invite
    assert parse_invite(replace(invite, node="web7").line) == invite
    names = {invite.exchange(key) for key in (WEB9, OTHER)}
    assert len(names) == 2
    assert {joining.invite_of(name) for name in names} == {INVITE.exchange(WEB9)} == {INVITE.id}


def test_refusal_reads_back() -> None:
    refusal = JoinRefusal(NONCE, "all 50 uses are used", "Ask for another one.")
    assert parse_refusal(refusal.to_json()) == refusal
    assert parse_refusal(answer().to_json()) is None
    with pytest.raises(ValueError, match="remedy must be a string"):
        parse_refusal({"nonce": NONCE, "refused": "no"})


def test_invites_id_does_not_show_the_secret() -> None:
    assert re.fullmatch("[A-Za-z0-9_-]{22}", INVITE.id)
    assert INVITE.id == joining.invite_id(SECRET) != joining.invite_id(bytes(16))
    assert len(joining.new_secret()) == 16
    assert joining.new_secret() != joining.new_secret()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "wkn1:abc",
        "wk1.",
        "wk1.ä",
        "wk1.A",
        "wk1.W10",
        INVITE.line[:-4],
        INVITE.line + "x" * 5000,
        line(more=1),
        line(node=""),
        line(node=None, pins=None),
        line(node="../x"),
        line(node=7),
        line(addresses="10.0.0.1:1"),
        line(addresses=[]),
        line(addresses=["x"] * 9),
        line(addresses=["x" * 301]),
        line(pins="x"),
        line(fleet_key="x"),
        line(secret="AAAA"),
        line(secret="*"),
        line(expires_at="now"),
        line(expires_at=0),
        line(expires_at=2**60),
    ],
    ids=lambda text: text[:40],
)
def test_other_invites_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"invite|base64url|JSON|addresses|must|expected"):
        parse_invite(text)


def test_request_proves_the_invite() -> None:
    made = request()
    assert parse_request(made.to_bytes()) == made
    assert made.is_from(SECRET)
    assert not made.is_from(bytes(16))


@pytest.mark.parametrize("member", ["node", "signing_key", "sealing_key", "nonce", "version"])
def test_changed_request_no_longer_proves_it(member: str) -> None:
    changed = {"node": "web8", "signing_key": OTHER, "sealing_key": WEB9, "nonce": "B" * 22, "version": "9"}
    assert not replace(request(), **{member: changed[member]}).is_from(SECRET)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 4000,
        b"x" * 5000,
        '{"node": "ä"}'.encode(),
        request(node="../x").to_bytes(),
        request(version="x" * 65).to_bytes(),
        request(signing_key="x").to_bytes(),
        request(sealing_key="x").to_bytes(),
        request(nonce="AAAA").to_bytes(),
        replace(request(), mac="x").to_bytes(),
        request().to_bytes().replace(b'"web9"', b"9"),
    ],
    ids=lambda message: message[:40].decode(),
)
def test_other_requests_are_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"request|JSON|must|expected|valid"):
        parse_request(message)


def test_answer_reads_back_and_is_for_one_request() -> None:
    made = answer()
    assert parse_answer(json.loads(json.dumps(made.to_json()))) == made
    assert made.is_for(request())
    for changed in (request(nonce="B" * 22), request(signing_key=OTHER), request(sealing_key=WEB9)):
        assert not made.is_for(changed)
    assert len(joining.new_nonce()) == len(NONCE)


@pytest.mark.parametrize(
    "changes",
    [
        {"node": 7},
        {"pins": []},
        {"relays": "x"},
        {"relays": [7]},
        {"answers": 1},
        {"certificates": []},
        {"certificates": {"../x": []}},
        {"certificates": {"web": "x"}},
    ],
    ids=str,
)
def test_other_answers_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_answer(answer().to_json() | changes)


def test_digest_of_the_pins_covers_each_value_and_its_place() -> None:
    plain = replace(PINS, publishers=())
    more = [replace(plain, **{name: (*getattr(plain, name), WEB9)}) for name in plain.to_json()]
    swapped = Pins(plain.account_thumbprints, plain.fleet_keys, plain.publishing_keys)
    assert len({one.digest for one in (PINS, plain, swapped, *more)}) == 6


def test_pins_without_publishers_are_those_of_earlier_versions() -> None:
    plain = replace(PINS, publishers=())
    assert plain.to_json().keys() == {"account_thumbprints", "publishing_keys", "fleet_keys"}
    assert parse_pins(plain.to_json()) == plain


@pytest.mark.parametrize(
    "changes", [{"account_thumbprints": ["x"]}, {"publishing_keys": ["x"]}, {"fleet_keys": []}, {"publishers": {}}]
)
def test_other_pins_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"thumbprints|expected|empty|list"):
        parse_pins(PINS.to_json() | changes)


def test_secret_is_not_in_messages_about_an_invite() -> None:
    assert repr(INVITE.secret) not in repr(INVITE)
