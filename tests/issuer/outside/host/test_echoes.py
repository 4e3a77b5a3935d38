"""Words of a server that may repeat the request."""

import pytest

from wellkeeper_issuer.outside.host.echoes import masked

URL = "https://me:pass-word@hc.example/ping/0f5e8c1d?key=a%2Bb%2Fcdef&n=1"


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("no such check: 0f5e8c1d", "no such check: …"),
        ("GET /ping/0f5e8c1d?key=a%2Bb%2Fcdef&n=1", "GET /ping/…?…&n=1"),
        ("the key a+b/cdef is unknown", "the key … is unknown"),
        ("me:pass-word", "me:…"),
        ("Authorization: Basic bWU6cGFzcy13b3Jk", "Authorization: Basic …"),
        (r'{"error": "a+b\/cdef"}', '{"error": "…"}'),
        (r'{"error": "p\u00e4ss\/word"}', '{"error": "…"}'),
        (r'{"error": "p\u00e4ss/word"}', '{"error": "…"}'),
        ("token s3 is wrong", "token … is wrong"),
        ("b'/ping/0f5e8c1d'", "b'/ping/…'"),
        ("not found", "not found"),
    ],
)
def test_long_parts_of_the_url_and_secrets_are_masked(words: str, shown: str) -> None:
    assert masked(words, URL, ["s3", "päss/word", ""]) == shown


def test_short_password_of_the_url_is_masked() -> None:
    assert masked("me:pw", "https://me:pw@hc.example/", []) == "me:…"
    assert masked("Basic dG9rZW46", "https://token@hc.example/", []) == "Basic …"


def test_invalid_url_has_no_parts() -> None:
    assert masked("[::1", "http://[::1/secret-path", []) == "[::1"
