"""Publishers: which names they may publish for, and which spellings of `Host` are those of a name."""

import pytest

from wellkeeper_client.publishers import Publisher, find_conflict, is_host_of, parse_publisher

KEY, OTHER = "B" * 43, "C" * 43
CERTBOT = Publisher("certbot", ("A" * 43,), (KEY,), ("a.example", "*.b.example", "192.0.2.1", "2001:db8::1"))


def test_publisher_is_read_as_written() -> None:
    assert parse_publisher(CERTBOT.to_json()) == CERTBOT


@pytest.mark.parametrize(
    "identifier",
    ["a.example", "A.Example", "a.example.", "www.b.example", "x.y.b.example", "192.0.2.1", "2001:DB8:0::1"],
)
def test_publisher_may_publish_for_its_names(identifier: str) -> None:
    assert CERTBOT.may_publish_for(identifier)


@pytest.mark.parametrize(
    "identifier",
    [
        "b.example",
        "www.a.example",
        "evilb.example",
        "a.example.evil.example",
        "a.example..",
        "example",
        "*.b.example",
        ".b.example.",
        "\u212a.b.example",
        "192.0.2.10",
        "192.0.2.01",
        "2001:db8::2",
        "::ffff:192.0.2.1",
        "",
    ],
)
def test_publisher_may_not_publish_for_others(identifier: str) -> None:
    assert not CERTBOT.may_publish_for(identifier)


@pytest.mark.parametrize(
    ("host", "identifier"),
    [
        ("a.example", "a.example"),
        ("A.EXAMPLE", "a.example"),
        ("a.example", "A.Example."),
        ("a.example.", "a.example"),
        ("a.example:80", "a.example"),
        ("a.example.:8080", "a.example"),
        ("a.example:", "a.example"),
        ("xn--mnchen-3ya.example", "XN--Mnchen-3ya.example"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:DB8:0:0::1]:80", "2001:db8::1"),
        ("[2001:db8::1]", "[2001:db8::1]"),
    ],
)
def test_host_is_that_of_the_identifier(host: str, identifier: str) -> None:
    assert is_host_of(host, identifier)


@pytest.mark.parametrize(
    ("host", "identifier"),
    [
        (None, "a.example"),
        ("", "a.example"),
        (".", "a.example"),
        ("b.example", "a.example"),
        ("a.example..", "a.example"),
        ("a.example:80:80", "a.example"),
        ("a.example:x", "a.example"),
        ("a.example/", "a.example"),
        ("user@a.example", "a.example"),
        ("a.example, b.example", "a.example"),
        ("m\u00fcnchen.example", "xn--mnchen-3ya.example"),
        ("\u212a.example", "k.example"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1%eth0]", "2001:db8::1"),
        ("[::ffff:192.0.2.1]", "192.0.2.1"),
        ("[2001:db8::2]", "2001:db8::1"),
    ],
)
def test_host_is_of_something_else(host: str | None, identifier: str) -> None:
    assert not is_host_of(host, identifier)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"more": 1}, "a publisher must have name, account_thumbprints, publishing_keys, identifiers"),
        ({"name": "A B"}, "the publisher's name 'A B' must have"),
        ({"name": 7}, "the publisher's name 7 must have"),
        ({"account_thumbprints": ["short"]}, "certbot: account_thumbprints must be RFC 7638 thumbprints"),
        ({"publishing_keys": ["short"]}, "expected 43 characters"),
        ({"publishing_keys": []}, "certbot: publishing_keys must not be empty"),
        ({"identifiers": "a.example"}, "certbot: identifiers must be a list of strings"),
        ({"identifiers": ["A.example"]}, "certbot: 'A.example' is neither a name in lower case,"),
        ({"identifiers": ["a.*.example"]}, "certbot: 'a.*.example' is neither"),
        ({"identifiers": ["a b"]}, "certbot: 'a b' is neither"),
        ({"identifiers": ["2001:db8:0::1"]}, "certbot: '2001:db8:0::1' is neither"),
    ],
)
def test_damaged_publisher_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_publisher(CERTBOT.to_json() | changes)
    assert str(caught.value).startswith(words)


def test_names_and_keys_belong_to_one() -> None:
    lego = Publisher("lego", ("A" * 43,), (OTHER,), ("c.example",))
    assert find_conflict((CERTBOT, lego), ("D" * 43,)) == ""
    assert find_conflict((CERTBOT, CERTBOT), ()) == "two publishers are named 'certbot'"
    assert find_conflict((CERTBOT,), (KEY,)) == f"the publishing key {KEY} of certbot is also that of the issuer"
    twin = Publisher("twin", ("A" * 43,), (KEY,), ("c.example",))
    assert find_conflict((CERTBOT, twin), ()) == f"the publishing key {KEY} of twin is also that of certbot"
