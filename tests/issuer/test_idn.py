"""Conversion of names between Unicode and A-labels."""

import pytest

from wellkeeper_issuer import idn
from wellkeeper_issuer.settings.values import parse_identifier
from wellkeeper_node.model import Identifier, IdentifierType


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("münchen.example", "xn--mnchen-3ya.example"),
        ("MÜNCHEN.Example", "xn--mnchen-3ya.example"),
        ("mu\u0308nchen.example", "xn--mnchen-3ya.example"),
        ("XN--MNCHEN-3YA.example", "xn--mnchen-3ya.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        # Mixed scripts and registered emoji are left to the CA.
        ("аpple.example", "xn--pple-43d.example"),
        ("xn--ls8h.example", "xn--ls8h.example"),
        ("plain.example", "plain.example"),
        ("ab--cd.example", "ab--cd.example"),
    ],
)
def test_name_is_converted_to_a_labels(written: str, kept: str) -> None:
    assert idn.to_ascii(written) == kept
    assert idn.to_ascii(kept) == kept


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("☃.example", "'☃.example' is not a valid internationalized name: Codepoint U\\+2603"),
        ("www.-ü.example", "must not start or end with a hyphen"),
        ("ü..example", "Empty Label"),
        (f"{'ü' * 70}.example", "Label too long"),
        ("a b.ü", "Codepoint U\\+0020"),
        ("xn--é.example", "is not a valid internationalized name"),
        ("*.ü.example", "Codepoint U\\+002A"),
        ("xn--.example", "'xn--' is not a valid A-label"),
        ("xn--abc-.example", "'xn--abc-' is not a valid A-label"),
        ("xn--99999999999.example", "'xn--99999999999' is not a valid A-label"),
        ("www.xn--a.example", "'xn--a' is not a valid A-label"),
    ],
)
def test_invalid_name_is_reported(written: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        idn.to_ascii(written)


def test_both_forms_are_displayed() -> None:
    assert idn.describe("xn--mnchen-3ya.example") == "xn--mnchen-3ya.example (münchen.example)"
    assert idn.describe("www.example.org") == "www.example.org"


def test_undecodable_name_is_shown_unchanged() -> None:
    """Keep the A-label, so that terminals never receive control characters."""
    assert idn.to_unicode("xn--a.example") == "xn--a.example"
    assert idn.to_unicode("192.0.2.7") == "192.0.2.7"


def test_settings_accept_unicode() -> None:
    assert parse_identifier("MÜNCHEN.example.") == Identifier(IdentifierType.DNS, "xn--mnchen-3ya.example")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("*.münchen.example", "is a wildcard, which http-01 cannot validate"),
        ("münchen", "is neither a full DNS name nor an IP address"),
        ("１９２.０.２.７", "is neither a full DNS name nor an IP address"),
        ("xn--.example", "is not a valid A-label"),
        ("☃.example", "is not a valid internationalized name"),
    ],
)
def test_invalid_unicode_name_in_the_settings_is_reported(written: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_identifier(written)
