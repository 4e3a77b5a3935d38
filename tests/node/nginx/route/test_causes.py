"""Causes of routes that do not lead to the token: the directive to blame and the line to change."""

import pytest

from tests.node.nginx.route.routing import BARE, INCLUDE, MAIN, REDIRECT, UPSTREAM, cause, configured, router
from wellkeeper_node.model import Identifier, IdentifierType
from wellkeeper_node.nginx.configuration import parse
from wellkeeper_node.nginx.route.causes import Cause, Causes, include_line, missing_upstream
from wellkeeper_node.nginx.route.request import CHALLENGE, TOKEN

NAMED = "server_name a.example;"
CHALLENGES = "/.well-known/acme-challenge/"
EXACT = f"location = {CHALLENGE}"[:59] + "…"
RELOAD = ", then reload nginx."
LACKS = f"the server block at {MAIN}:3 does not include challenge.conf:"
ADD = f"Add '{INCLUDE}' after {MAIN}:3{RELOAD}"


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (
            r"location ~ /\. { deny all; }",
            (
                rf"{LACKS} 'location ~ /\.' at {MAIN}:3 answers 403",
                ADD,
            ),
        ),
        ("root /x;", (f"{LACKS} it answers 404", ADD)),
        (
            "location / { proxy_pass http://127.0.0.1:3000; }",
            (
                (f"{LACKS} 'location /' at {MAIN}:3 passes it to http://127.0.0.1:3000"),
                ADD,
            ),
        ),
        (
            "location / { try_files $uri /index.html; }",
            (
                (f"{LACKS} 'location /' at {MAIN}:3 answers with another page"),
                ADD,
            ),
        ),
        (
            f"return 503; {INCLUDE}",
            (
                f"'return 503' at {MAIN}:3 answers 503 before nginx chooses a location",
                f"Move 'return 503' at {MAIN}:3 into 'location / {{ … }}'{RELOAD}",
            ),
        ),
        (
            "if ($scheme = http) { return 444; }",
            (
                f"'if ($scheme = http)' at {MAIN}:3 closes the connection before nginx chooses a location",
                (
                    f"Move 'if ($scheme = http)' at {MAIN}:3 into 'location / {{ … }}', and add '{INCLUDE}' after"
                    f" {MAIN}:3{RELOAD}"
                ),
            ),
        ),
        (
            f"rewrite ^ /index.php last; {INCLUDE}",
            (
                f"'rewrite ^ /index.php last' at {MAIN}:3 changes the path before nginx chooses a location",
                f"Move 'rewrite ^ /index.php last' at {MAIN}:3 into 'location / {{ … }}'{RELOAD}",
            ),
        ),
        (
            f"location = {CHALLENGE} {{ return 410; }} {INCLUDE}",
            (
                (
                    f"another location takes precedence over 'location ^~ {CHALLENGES}':"
                    f" '{EXACT}' at {MAIN}:3 answers 410"
                ),
                f"Remove '{EXACT}'{RELOAD}",
            ),
        ),
        (
            "location ^~ /.well-known/acme-challenge/ { root /var/www; }",
            (
                f"'location ^~ /.well-known/acme-challenge/' at {MAIN}:3, of another ACME client, answers 404",
                f"Replace 'location ^~ /.well-known/acme-challenge/' with '{INCLUDE}'{RELOAD}",
            ),
        ),
        (
            r'location ~ ^/\.well-known/acme-challenge/(.+)$ { return 200 "$1.abc"; }',
            (
                (
                    rf"'location ~ ^/\.well-known/acme-challenge/(.+)$' at {MAIN}:3, of another ACME client, answers"
                    " 'abc', the thumbprint of an account"
                ),
                rf"Replace 'location ~ ^/\.well-known/acme-challenge/(.+)$' with '{INCLUDE}'{RELOAD}",
            ),
        ),
        (
            f"deny all; {BARE}",
            (
                f"'deny all' at {MAIN}:3 answers 403",
                f"Replace 'location ^~ /.well-known/acme-challenge/' with '{INCLUDE}'{RELOAD}",
            ),
        ),
        (
            "location ^~ /.well-known/acme-challenge/ { proxy_pass http://wellkeeper_responder/; }",
            (
                f"'proxy_pass http://wellkeeper_responder/' at {MAIN}:3 asks the responder for '/…'",
                f"Replace 'location ^~ /.well-known/acme-challenge/' with '{INCLUDE}'{RELOAD}",
            ),
        ),
        (
            "location ^~ /.well-known/acme-challenge/ { proxy_pass https://wellkeeper_responder; }",
            (
                (
                    f"'proxy_pass https://wellkeeper_responder' at {MAIN}:3 asks the responder with TLS, but it speaks"
                    " HTTP"
                ),
                f"Replace 'location ^~ /.well-known/acme-challenge/' with '{INCLUDE}'{RELOAD}",
            ),
        ),
        (
            f"proxy_method POST; {INCLUDE}",
            (
                f"'proxy_method POST' at {MAIN}:3 asks the responder with a method other than GET",
                f"Move this line into the locations that need it{RELOAD}",
            ),
        ),
        (
            f"if ($remote_addr) {{ return 403; }} {INCLUDE}",
            (
                f"cannot predict what the CA reads: 'if ($remote_addr)' at {MAIN}:3 decides",
                "Run 'wellkeeper rehearse', which asks nginx.",
            ),
        ),
        (
            "return 303 https://$host/;",
            (
                (
                    f"'return 303 https://$host/' at {MAIN}:3 redirects it to https://a.example/ before nginx chooses a"
                    " location"
                ),
                (
                    f"Move 'return 303 https://$host/' at {MAIN}:3 into 'location / {{ … }}', and add '{INCLUDE}' after"
                    f" {MAIN}:3{RELOAD}"
                ),
            ),
        ),
    ],
)
def test_cause_names_the_directive_and_the_line_to_change(block: str, expected: tuple[str, str]) -> None:
    found = cause(f"listen 80; {NAMED} {block}")
    assert found[:2] == expected
    assert found.place == f"{MAIN}:3"


@pytest.mark.parametrize(
    ("block", "words", "fix"),
    [
        ("listen 80 ssl;", f"'listen 80 ssl' at {MAIN}:3 expects TLS on this port", "Remove 'ssl' from this line"),
        (
            "listen 80; error_page 404 /x;",
            f"the default server at {MAIN}:3 does not include challenge.conf: it answers 404",
            f"Add '{INCLUDE}' after",
        ),
    ],
)
def test_default_server_answers_for_other_names(block: str, words: str, fix: str) -> None:
    found = cause(block)
    assert words in found.cause
    assert found.fix.startswith(fix)


def test_name_without_a_block_in_a_default_server_that_closes() -> None:
    found = cause("listen 80 default_server; server_name _; return 444;", name="b.example")
    assert found == Cause(
        f"no server block on port 80 has the name b.example, and in the default server 'return 444' at {MAIN}:3 closes"
        " the connection before nginx chooses a location",
        "Add b.example to 'server_name' of a block on port 80 that includes challenge.conf, then reload nginx.",
        f"{MAIN}:3",
    )


def test_address_needs_no_name() -> None:
    made = router("listen 80; location / { return 404; }")
    for address in ("192.0.2.7", "2001:db8::7"):
        found = Causes(made).of(made.route(Identifier(IdentifierType.IP, address), "*"))
        assert found.cause.startswith(f"the default server at {MAIN}:3 does not include challenge.conf: ")


def test_redirect_is_named_with_its_target_and_what_answers_there() -> None:
    found = cause(f"{NAMED} {INCLUDE} {REDIRECT}", rf"listen 443 ssl; {NAMED} location ~ /\. {{ deny all; }}")
    assert found == Cause(
        f"http://a.example/… answers 301 to https://a.example/… ('return 301 https://$host$request_uri' at {MAIN}:3),"
        f" where the server block at {MAIN}:4 does not include challenge.conf: 'location ~ /\\.' at {MAIN}:4 answers"
        " 403",
        f"Move 'return 301 https://$host$request_uri' at {MAIN}:3 into 'location / {{ … }}'{RELOAD}",
        f"{MAIN}:3",
    )


def test_redirect_in_a_location_needs_the_snippet_beside_it() -> None:
    found = cause(f"{NAMED} location / {{ {REDIRECT} }}", f"listen 443 ssl; {NAMED} ssl_verify_client on;")
    assert "where 'ssl_verify_client on' at " in found.cause
    assert found.fix == ADD


def test_redirect_to_a_port_without_a_listener() -> None:
    found = cause(f"{NAMED} {REDIRECT}")
    assert found.cause.endswith("where nothing listens on port 443")


def test_block_that_does_not_listen_there_gets_the_listen() -> None:
    blocks = (f"listen 80; {NAMED} {INCLUDE}", "listen [::]:80 default_server; root /x;")
    assert cause(*blocks, family=6) == Cause(
        f"the server block for a.example at {MAIN}:3 does not listen there: the default server at {MAIN}:4 answers 404",
        f"Add 'listen [::]:80;' after {MAIN}:3{RELOAD}",
        f"{MAIN}:3",
    )
    other = (f"listen 192.0.2.7:80; {NAMED} {INCLUDE}", "listen 80 default_server; root /x;")
    made = router(*other)
    wildcard = next(one for one in made.routes(Identifier(IdentifierType.DNS, "a.example"), 4) if one.host == "*")
    assert Causes(made).of(wildcard).fix.startswith("Add 'listen 80;' after ")


def test_specific_address_is_named_in_the_listen() -> None:
    made = router(f"listen 80; {NAMED} {INCLUDE}", "listen 192.0.2.7:80; root /x;", "listen [2001:db8::7]:80; root /x;")
    name = Identifier(IdentifierType.DNS, "a.example")
    fixes = [Causes(made).of(made.route(name, host)).fix for host in ("192.0.2.7", "2001:db8::7")]
    assert [one.split("'")[1] for one in fixes] == ["listen 192.0.2.7:80;", "listen [2001:db8::7]:80;"]


def test_missing_listener_names_the_line_after_which_to_add_it() -> None:
    made = router(f"listen 80; {NAMED}")
    assert Causes(made).missing_listener("a.example", 6) == Cause(
        "nothing listens on port 80 over IPv6", f"Add 'listen [::]:80;' after {MAIN}:3{RELOAD}", f"{MAIN}:3"
    )
    secure = router("listen 443 ssl; server_name a.example;", "listen 80; server_name _;")
    assert Causes(secure).missing_listener("a.example", 6).place == f"{MAIN}:4"
    assert Causes(router()).missing_listener("a.example", 4)[1:] == ("Add 'listen 80;', then reload nginx.", "")


def test_missing_upstream_names_the_http_block() -> None:
    assert cause(f"{NAMED} {INCLUDE}", http="") == Cause(
        "no upstream 'wellkeeper_responder' is defined: upstream.conf is not included",
        f"Add '{UPSTREAM}' to the http block at {MAIN}:1{RELOAD}",
        f"{MAIN}:1",
    )
    assert missing_upstream(parse("# configuration file /n.conf:\nevents { }\n")).place == ""


def test_include_has_the_path_that_is_used_elsewhere() -> None:
    elsewhere = parse(
        "# configuration file /n/n.conf:\ninclude /o/challenge.conf;\n# configuration file /o/challenge.conf:\nx;\n"
    )
    assert include_line(elsewhere) == "include /o/challenge.conf;"
    assert include_line(parse("# configuration file /n/n.conf:\nx;\n")) == INCLUDE
    assert include_line(configured(INCLUDE)) == INCLUDE


def test_token_is_not_shown() -> None:
    assert TOKEN not in "".join(cause(f"{NAMED} return 301 https://$host$request_uri?x;"))


@pytest.mark.parametrize(
    ("block", "words", "fix"),
    [
        (
            f"listen 80 http2; {INCLUDE}",
            "'listen 80 http2' at {} answers only HTTP/2 with",
            "Remove 'http2' from this line",
        ),
        (
            f"limit_req zone=x; {INCLUDE}",
            "'limit_req zone=x' at {} also limits the CA",
            "Add 'burst=20 nodelay' to this",
        ),
        (f"proxy_cache x; {BARE}", "'proxy_cache x' at {} also caches answers to challenges", "Include challenge.conf"),
        (
            f"error_page 404 =200 /x; proxy_intercept_errors on; {BARE}",
            "'error_page 404 =200 /x' at {} replaces the responder's 404",
            "Include challenge.conf",
        ),
        (
            "error_page 497 https://$geoip_city/; listen 80 ssl;",
            "cannot predict what the CA reads: 'error_page 497 https://$geoip_city/' at {} decides",
            "Run 'wellkeeper rehearse'",
        ),
    ],
)
def test_directive_that_may_replace_the_token_is_named(block: str, words: str, fix: str) -> None:
    found = cause(block)
    assert found.cause.startswith(words.format(f"{MAIN}:3"))
    assert found.fix.startswith(fix)
