"""The form of records in an engine: short, and read back as they were; anything else counts as absent."""

import os
import tracemalloc
import zlib
from typing import Final

import pytest

from tests.relay.messages import signed
from tests.responder.messages import NOW
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind
from wellkeeper_node.bundles import content
from wellkeeper_node.records.engine_values import LONGEST_LINE, pack, unpack

KEY: Final = "wrap/web1/www"
WRAP: Final = signed(
    KEY,
    archive_name="20260301T110000Z-0123abcd",
    suite="X25519-HKDF-SHA256-AES-256-GCM",
    wrapped_key=content.to_base64url(os.urandom(80)),
)
HEADER, PAYLOAD, SIGNATURE = WRAP.split(b".")
LONGEST: Final = Kind.WRAP.longest


def stored(value: bytes) -> Stored:
    return Stored(KEY, value, float(NOW))


def test_wrap_takes_half_of_its_bytes_and_is_read_back_as_it_was() -> None:
    packed = pack(stored(WRAP))
    assert len(packed) < 0.55 * len(WRAP)
    assert unpack(KEY, packed, LONGEST) == stored(WRAP)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"1",
        b'{"mac": "x"}',
        b"..",
        b"a.b",
        b"a.b.c.d",
        WRAP + b"=",
        WRAP[:-2],
        WRAP.replace(b".", b".\n", 1),
        b".".join([HEADER, PAYLOAD + b"!", SIGNATURE]),
        b".".join([HEADER + b"A", PAYLOAD, SIGNATURE]),
        b".".join([content.to_base64url(b'{\n"alg": "EdDSA"}').encode(), PAYLOAD, SIGNATURE]),
    ],
)
def test_any_value_is_read_back_as_it_was(value: bytes) -> None:
    assert unpack(KEY, pack(stored(value)), LONGEST) == stored(value)


def test_longest_record_is_read_and_a_longer_one_is_not() -> None:
    for packed in (pack(stored(WRAP)), pack(stored(b"x" * 700))):
        value = unpack(KEY, packed, LONGEST)
        assert value is not None
        assert unpack(KEY, packed, len(value.value)) == value
        assert unpack(KEY, packed, len(value.value) - 1) is None
    assert len(pack(stored(b"x" * LONGEST))) <= LONGEST_LINE + LONGEST


@pytest.mark.parametrize("form", [b"y", b"", b"zz", b"z z"])
def test_record_in_another_form_counts_as_absent(form: bytes) -> None:
    packed = pack(stored(WRAP))
    assert unpack(KEY, packed.replace(b" z\n", b" " + form + b"\n", 1), LONGEST) is None


@pytest.mark.parametrize("cut", [-9, LONGEST_LINE, LONGEST_LINE + 64])
def test_part_of_a_record_counts_as_absent(cut: int) -> None:
    assert unpack(KEY, pack(stored(WRAP))[:cut], LONGEST) is None


def test_value_that_inflates_without_an_end_takes_no_memory() -> None:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = deflate.compress(bytes(100 * 1024 * 1024)) + deflate.flush()
    line, _, _ = pack(stored(WRAP)).partition(b"\n")
    tracemalloc.start()
    try:
        assert unpack(KEY, line + b"\n" + bytes(64) + bomb, LONGEST) is None
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1024 * 1024
