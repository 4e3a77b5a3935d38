"""Messages are exactly what docs/design/0001-wire.md says: other readers of the same bytes must not disagree."""

import json
from base64 import urlsafe_b64encode

import pytest

from tests.responder.messages import KEY, NOW, OTHER_KEY, claims, header
from wellkeeper_client.wire import WireError
from wellkeeper_responder.publishing_keys import PublishingKeys


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def made(header_part: str, payload_part: str) -> str:
    """Return a message with a valid signature of these parts, whatever they are."""
    signature = KEY.sign(f"{header_part}.{payload_part}".encode())
    return f"{header_part}.{payload_part}.{encoded(signature)}"


HEADER = json.dumps(header()).encode()
PAYLOAD = json.dumps(claims()).encode()
GOOD = made(encoded(HEADER), encoded(PAYLOAD))


def twice(name: str, value: str) -> bytes:
    """The header with another value for a name before its own."""
    return b'{"%b":"%b",' % (name.encode(), value.encode()) + HEADER[1:]


def padded(data: bytes) -> str:
    data += b" " * ((1 - len(data)) % 3)  # so that padding is due
    return urlsafe_b64encode(data).decode()


def with_spare_bits(message: str) -> str:
    """The same bytes, spelled with other bits where the last character has more than it needs."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return message[:-1] + alphabet[alphabet.index(message[-1]) ^ 1]


def in_the_other_alphabet() -> str:
    """A message whose signature has characters that differ between the two alphabets of base64."""
    for space in range(1000):
        message = made(encoded(HEADER), encoded(PAYLOAD + b" " * space))
        head, payload, signature = message.split(".")
        if "-" in signature or "_" in signature:
            return f"{head}.{payload}.{signature.replace('-', '+').replace('_', '/')}"
    raise AssertionError


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(made(encoded(twice("alg", "none")), encoded(PAYLOAD)), id="alg twice"),
        pytest.param(made(encoded(twice("kid", "x")), encoded(PAYLOAD)), id="kid twice"),
        pytest.param(made(encoded(twice("typ", "x")), encoded(PAYLOAD)), id="typ twice"),
        pytest.param(made(encoded(HEADER), encoded(b'{"aud":"x",' + PAYLOAD[1:])), id="claim twice"),
        pytest.param(made(padded(HEADER), encoded(PAYLOAD)), id="padded header"),
        pytest.param(made(encoded(HEADER), padded(PAYLOAD)), id="padded payload"),
        pytest.param(f"{GOOD}==", id="padded signature"),
        pytest.param(with_spare_bits(GOOD), id="spare bits"),
        pytest.param(in_the_other_alphabet(), id="alphabet of base64"),
        pytest.param(f"{GOOD}\n", id="line end"),
        pytest.param(f" {GOOD}", id="blank"),
        pytest.param(f"{GOOD}.", id="four parts"),
        pytest.param(made(encoded(HEADER.decode().encode("utf-16")), encoded(PAYLOAD)), id="header in UTF-16"),
        pytest.param(made(encoded(HEADER), encoded(PAYLOAD.decode().encode("utf-16"))), id="payload in UTF-16"),
        pytest.param(made(encoded(HEADER), encoded(PAYLOAD.decode().encode("utf-32-le"))), id="payload in UTF-32"),
        pytest.param(made(encoded(b"\xef\xbb\xbf" + HEADER), encoded(PAYLOAD)), id="header with a byte order mark"),
        pytest.param(made(encoded(HEADER), encoded(b"\xef\xbb\xbf" + PAYLOAD)), id="payload with a byte order mark"),
        pytest.param(made(encoded(HEADER), encoded(b"[" * 2000)), id="deep payload"),
        pytest.param(made(encoded(b"[" * 2000), encoded(PAYLOAD)), id="deep header"),
        pytest.param(made(encoded(b"[]"), encoded(PAYLOAD)), id="header that is a list"),
    ],
)
def test_other_spellings_of_a_message_are_refused(message: str) -> None:
    with pytest.raises(WireError) as refused:
        PublishingKeys([KEY.public_key()]).check_publication(message.encode(), NOW)
    assert (refused.value.status, refused.value.name) == (400, "malformed")


def test_plain_spelling_is_accepted() -> None:
    keys = PublishingKeys([KEY.public_key(), OTHER_KEY.public_key()])
    assert keys.check_publication(GOOD.encode(), NOW).issued_at == NOW
