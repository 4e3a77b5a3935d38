"""Names in unicode and as A-labels, both ways."""

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
        # Mixed scripts are the CA's business, and so are emoji that somebody did register.
        ("аpple.example", "xn--pple-43d.example"),
        ("xn--ls8h.example", "xn--ls8h.example"),
        ("plain.example", "plain.example"),
        ("ab--cd.example", "ab--cd.example"),
    ],
)
def test_name_is_kept_as_a_labels(written: str, kept: str) -> None:
    assert idn.to_ascii(written) == kept
    assert idn.to_ascii(kept) == kept


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("☃.example", "'☃.example' is no valid internationalised name: Codepoint U\\+2603"),
        ("www.-ü.example", "must not start or end with a hyphen"),
        ("ü..example", "Empty Label"),
        (f"{'ü' * 70}.example", "Label too long"),
        ("a b.ü", "Codepoint U\\+0020"),
        ("xn--é.example", "is no valid internationalised name"),
        ("*.ü.example", "Codepoint U\\+002A"),
        ("xn--.example", "'xn--' decodes to no name"),
        ("xn--abc-.example", "'xn--abc-' decodes to no name"),
        ("xn--99999999999.example", "'xn--99999999999' decodes to no name"),
        ("www.xn--a.example", "'xn--a' decodes to no name"),
    ],
)
def test_what_is_no_name_is_one_error(written: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        idn.to_ascii(written)


def test_people_read_both_forms() -> None:
    assert idn.describe("xn--mnchen-3ya.example") == "xn--mnchen-3ya.example (münchen.example)"
    assert idn.describe("www.example.org") == "www.example.org"


def test_what_cannot_be_read_is_shown_as_it_is() -> None:
    """A terminal is never sent control characters."""
    assert idn.to_unicode("xn--a.example") == "xn--a.example"
    assert idn.to_unicode("192.0.2.7") == "192.0.2.7"


def test_settings_take_unicode() -> None:
    assert parse_identifier("MÜNCHEN.example.") == Identifier(IdentifierType.DNS, "xn--mnchen-3ya.example")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("*.münchen.example", "is a wildcard, which http-01 cannot validate"),
        ("münchen", "is neither a full DNS name nor an IP address"),
        ("１９２.０.２.７", "is neither a full DNS name nor an IP address"),
        ("xn--.example", "decodes to no name"),
        ("☃.example", "is no valid internationalised name"),
    ],
)
def test_settings_say_what_is_wrong(written: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_identifier(written)
