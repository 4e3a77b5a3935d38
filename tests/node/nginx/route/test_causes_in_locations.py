"""Causes of routes that another location, or one written by hand, answers."""

import pytest

from tests.node.nginx.route.routing import INCLUDE, MAIN, cause

CHALLENGES = "/.well-known/acme-challenge/"
RELOAD = ", then reload nginx."


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("root /x; try_files $uri =404;", f"'location {CHALLENGES}' at {MAIN}:3, of another ACME client, answers 404"),
        ("proxy_pass http://127.0.0.1:9;", f"'location {CHALLENGES}' at {MAIN}:3, of another ACME client, passes it"),
        ("try_files $uri =404;", f"'location {CHALLENGES}' at {MAIN}:3 answers 404"),
        ("return 200 hello;", f"'location {CHALLENGES}' at {MAIN}:3 answers 200"),
        (
            "if ($request_method = GET) { return 405; } proxy_pass http://wellkeeper_responder;",
            f"'if ($request_method = GET)' at {MAIN}:3 answers 405",
        ),
    ],
)
def test_only_what_answers_challenges_is_of_another_client(content: str, words: str) -> None:
    assert cause(f"location {CHALLENGES} {{ {content} }}").cause.startswith(words)


@pytest.mark.parametrize(
    ("ours", "others"),
    [
        (f"location {CHALLENGES} {{ proxy_pass http://wellkeeper_responder; }}", r"location ~ /\. { deny all; }"),
        (
            f"location ^~ {CHALLENGES} {{ location ~ /\\. {{ deny all; }} proxy_pass http://wellkeeper_responder; }}",
            "",
        ),
        (
            f"location ^~ {CHALLENGES} {{ rewrite ^ /x last; proxy_pass http://wellkeeper_responder; }}",
            "location /x { deny all; }",
        ),
    ],
)
def test_other_rules_of_a_block_are_never_removed(ours: str, others: str) -> None:
    """Replacing the location by challenge.conf is enough: its ^~ comes before all patterns."""
    found = cause(f"{ours} {others}")
    location = ours.partition(" {")[0]
    assert found.cause.startswith(f"'{location}' at {MAIN}:3 does not answer: 'location ")
    assert found.fix == f"Replace '{location}' with '{INCLUDE}'{RELOAD}"


def test_location_below_the_challenges_is_removed() -> None:
    below = f"location {CHALLENGES}W {{ return 410; }}"
    assert cause(f"{INCLUDE} {below}").fix == f"Remove 'location {CHALLENGES}W'{RELOAD}"
