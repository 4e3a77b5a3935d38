"""Permits for reading at a relay, and which addresses may use plain HTTP."""

from typing import Any

import pytest

from tests.relay.messages import STRANGER_KEY, WEB1_KEY
from tests.responder.messages import NOW
from wellkeeper_client import relay_wire
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.signing import key_id, sign_claims

KEYS = {key_id(WEB1_KEY.public_key()): WEB1_KEY.public_key()}
DAY = 86_400


def permit(**changes: Any) -> bytes:  # noqa: ANN401 - JSON
    claims = {"aud": relay_wire.AUDIENCE, "node": "web1", "iat": NOW, "exp": NOW + 3600} | changes
    return sign_claims(relay_wire.PERMIT_TYPE, claims, WEB1_KEY).encode()


def test_permit_is_valid_for_an_hour_and_a_day_around_it() -> None:
    message = relay_wire.sign_permit("web1", NOW + 0.7, WEB1_KEY).encode()
    assert message == permit()
    for now in (NOW - DAY, NOW, NOW + 3600 + DAY):
        assert relay_wire.check_permit(message, KEYS, now) == ("web1", NOW + 3600)
    for now in (NOW - DAY - 1, NOW + 3601 + DAY):
        with pytest.raises(MessageError, match="NTP"):
            relay_wire.check_permit(message, KEYS, now)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "wellkeeper-fleet"},
        {"node": 7},
        {"node": "../x"},
        {"iat": "now"},
        {"exp": float(NOW)},
        {"exp": NOW},
        {"exp": NOW + 3601},
        {"more": 1},
    ],
    ids=str,
)
def test_other_claims_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MessageError) as caught:
        relay_wire.check_permit(permit(**changes), KEYS, NOW)
    assert caught.value.name == "malformed"


def test_strangers_permit_is_refused() -> None:
    with pytest.raises(MessageError) as caught:
        relay_wire.check_permit(relay_wire.sign_permit("web1", NOW, STRANGER_KEY).encode(), KEYS, NOW)
    assert caught.value.name == "unknown-key"


@pytest.mark.parametrize(
    ("host", "is_private"),
    [
        ("127.0.0.1", True),
        ("10.0.0.1", True),
        ("172.31.255.255", True),
        ("192.168.1.1", True),
        ("169.254.1.1", True),
        ("100.64.0.1", True),
        ("::1", True),
        ("fd00::1", True),
        ("fe80::1%eth0", True),
        ("::ffff:10.0.0.1", True),
        ("0.0.0.0", False),  # noqa: S104 - not listened on
        ("::", False),
        ("8.8.8.8", False),
        ("172.32.0.1", False),
        ("2001:4860:4860::8888", False),
        ("::ffff:8.8.8.8", False),
        ("239.1.1.1", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_plain_http_is_for_private_addresses(host: str, is_private: bool) -> None:
    assert relay_wire.is_private(host) is is_private
