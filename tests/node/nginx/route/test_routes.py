"""The server block and location that answer a challenge; tests/integration/test_routes.py asks the real nginx, too."""

import socket

import pytest

from tests.node.nginx.route.routing import BARE, INCLUDE, MAIN, REDIRECT, UPSTREAM, configured, route, router, routes
from wellkeeper_node.model import Identifier, IdentifierType
from wellkeeper_node.nginx.route.ending import Outcome
from wellkeeper_node.nginx.route.routes import Router
from wellkeeper_node.nginx.sites import Ports, defaults, matching

NAMED = "server_name a.example;"


def outcome(*blocks: str, http: str = UPSTREAM) -> tuple[Outcome, int | None, int | None]:
    """Return outcome, status and the line of the directive that decides, on port 80 over IPv4."""
    ending = route(*blocks, http=http).ending
    return ending.outcome, ending.status, ending.culprit.line if ending.culprit else None


def test_block_with_the_name_answers_before_the_default_server() -> None:
    found = route("listen 80 default_server; return 444;", f"listen 80; {NAMED} {INCLUDE}")
    assert found.is_good
    assert found.is_named
    assert found.site is not None
    assert found.site.place == f"{MAIN}:4"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a.example", 3),
        ("A.EXAMPLE", 3),
        ("x.a.example", 4),
        ("y.x.a.example", 5),
        ("www.other", 6),
        ("r7.regex", 7),
        ("unknown", 8),
        ("dotted", 9),
        ("x.dotted", 9),
    ],
)
def test_names_match_as_in_nginx(name: str, line: int) -> None:
    found = route(
        "server_name a.example;",
        "server_name *.a.example;",
        "server_name *.x.a.example;",
        "server_name www.*;",
        r"server_name ~^r\d+\.regex$;",
        "listen 80 default_server;",
        "server_name .dotted;",
        "server_name a.example;",
        name=name.lower(),
    )
    assert found.site is not None
    assert found.site.place == f"{MAIN}:{line}"


def test_name_of_this_host_stands_for_the_hostname_variable() -> None:
    """nginx replaces only the whole word, in lower case."""
    name = socket.gethostname().lower()
    default = "listen 80 default_server; return 403;"
    block = f"server_name $hostname; if ($server_name != {name}) {{ return 403; }} {INCLUDE}"
    assert route(default, block, name=name).is_good
    assert not route(default, f"server_name x.$hostname; {INCLUDE}", name=name).is_good
    assert matching(router(block).entrances.sites, name)
    assert router(block).entrances.by_name[name]


def test_listen_with_an_address_hides_the_wildcard_there() -> None:
    wildcard, own = routes(f"listen 80; {NAMED} {INCLUDE}", "listen 192.0.2.7:80; server_name b.example;")
    assert (wildcard.host, wildcard.is_good) == ("*", True)
    assert (own.host, own.is_good) == ("192.0.2.7", False)


def test_addresses_of_the_loopback_count_only_without_others() -> None:
    assert [one.host for one in routes("listen localhost:80;", "listen 80;", "listen 127.0.0.2:80;")] == ["*"]
    assert [one.host for one in routes("listen localhost:80;", "listen 127.0.0.2:80;")] == ["127.0.0.1", "127.0.0.2"]
    assert [one.host for one in routes("listen [::1]:80;", family=6)] == ["::1"]


def test_range_of_ports_listens_on_each() -> None:
    assert route(f"listen 79-81; {INCLUDE}").is_good
    assert route(f"listen [::]:79-80 default_server; {INCLUDE}", "listen [::]:80; return 403;", family=6).is_good
    assert routes("listen 81-82;", "listen 70-79;") == []
    assert defaults(router("listen 79-80 default_server;", "listen 79;").entrances.sites)[0].is_http


def test_other_listens_are_left_out() -> None:
    assert routes("listen 8080;", "listen unix:/s;", "listen 80 quic;") == []
    assert [one.host for one in routes("listen name.example:80;")] == ["name.example"]


def test_socket_for_both_families_also_accepts_ipv4() -> None:
    block = f"listen [::]:80 ipv6only=off; {INCLUDE}"
    assert [one.host for one in routes(block)] == ["*"]
    assert [one.host for one in routes(block, "listen 80;")] == ["*"]
    assert routes("listen [::]:80;") == []


def test_identifier_that_is_an_address_comes_to_that_address() -> None:
    made = router(f"listen 80 default_server; {INCLUDE}", "listen [2001:db8::7]:80; server_name x;")
    v4, v6 = (Identifier(IdentifierType.IP, one) for one in ("192.0.2.7", "2001:db8::7"))
    assert [(one.host, one.is_good, one.url[:20]) for one in made.routes(v4, 4)] == [
        ("*", True, "http://192.0.2.7/.we")
    ]
    assert [(one.host, one.is_good, one.url[:20]) for one in made.routes(v6, 6)] == [
        ("2001:db8::7", False, "http://[2001:db8::7]")
    ]
    assert router("listen 80;").routes(v6, 6) == []


def test_other_ports_stand_for_80_and_443() -> None:
    made = Router(configured(f"listen 8080; {REDIRECT}", f"listen 8443 ssl; {INCLUDE}"), Ports(8080, 8443))
    (found,) = made.routes(Identifier(IdentifierType.DNS, "a.example"), 4)
    assert (found.is_good, found.port, found.first.port) == (True, 8443, 8080)


@pytest.mark.parametrize(
    ("https", "expected"),
    [
        (f"listen 443 ssl; {INCLUDE}", (Outcome.ANSWERED, None)),
        ("listen 443 ssl; location / { return 404; }", (Outcome.RETURNED, 404)),
        (f"listen 443 ssl; ssl_verify_client on; {INCLUDE}", (Outcome.UNTRUSTED, 400)),
        (f"listen 443 ssl; ssl_verify_client optional; {INCLUDE}", (Outcome.ANSWERED, None)),
        (f"listen 443 ssl; ssl_reject_handshake on; {INCLUDE}", (Outcome.NO_HANDSHAKE, None)),
        (f"listen 443; {INCLUDE}", (Outcome.NO_HANDSHAKE, None)),
        ("listen 444 ssl;", (Outcome.NO_LISTENER, None)),
    ],
)
def test_redirect_is_followed_to_port_443(https: str, expected: tuple[Outcome, int | None]) -> None:
    found = route(REDIRECT, https)
    assert (found.outcome, found.ending.status) == expected
    assert found.first.ending.status == 301


def test_handshake_for_an_address_reaches_the_default_server() -> None:
    made = router(
        REDIRECT, "listen 443 ssl; ssl_reject_handshake on;", f"listen 443 ssl; server_name 192.0.2.7; {INCLUDE}"
    )
    found = made.route(Identifier(IdentifierType.IP, "192.0.2.7"), "*")
    assert found.outcome is Outcome.NO_HANDSHAKE
    assert router(REDIRECT).route(Identifier(IdentifierType.IP, "2001:db8::7"), "*").outcome is Outcome.NO_LISTENER


def test_redirect_to_another_host_cannot_be_predicted_unless_it_is_here() -> None:
    away = "return 301 https://www.example.org$request_uri;"
    assert outcome(away, f"listen 443 ssl; {NAMED}") == (Outcome.UNKNOWN, 404, 3)
    assert route(away, f"listen 443 ssl; server_name www.example.org; {INCLUDE}").is_good
    assert route(away, f"listen 443 ssl; {INCLUDE}").is_good


@pytest.mark.parametrize(
    "redirect",
    [
        "return 303 https://$host$request_uri;",
        "return 301 http://$host$request_uri;",
        "return 301 https://$host:8443$request_uri;",
        "return 301 ftp://$host/;",
        "return 301 http://[;",
    ],
)
def test_redirect_that_the_ca_does_not_follow_is_the_end(redirect: str) -> None:
    found = route(redirect, f"listen 443 ssl; {INCLUDE}")
    assert found.outcome is Outcome.REDIRECTED
    assert found.redirects == ()


def test_eleventh_redirect_is_not_followed() -> None:
    found = route("rewrite ^(.*)$ http://$host$1x permanent;")
    assert (found.outcome, len(found.redirects)) == (Outcome.REDIRECTED, 10)


@pytest.mark.parametrize(
    ("options", "is_followed"),
    [("", False), ("port_in_redirect off;", True), ("absolute_redirect off;", True)],
)
def test_redirect_to_a_path_has_the_port_of_nginx(options: str, is_followed: bool) -> None:
    made = Router(
        configured(f"listen 8080; {options} location / {{ return 301 /x$uri; }} location /x {{ return 410; }}"),
        Ports(8080),
    )
    (found,) = made.routes(Identifier(IdentifierType.DNS, "a.example"), 4)
    assert bool(found.redirects) is is_followed


@pytest.mark.parametrize(
    ("flags", "speaks", "expected"),
    [
        ("ssl", None, Outcome.PLAIN),
        ("proxy_protocol", False, Outcome.UNGREETED),
        ("proxy_protocol", True, Outcome.ANSWERED),
        ("proxy_protocol", None, Outcome.ANSWERED),
        ("http2", None, Outcome.UNKNOWN),
        ("http2 ssl", None, Outcome.PLAIN),
    ],
)
def test_flags_of_listen_decide_before_any_directive(flags: str, speaks: bool | None, expected: Outcome) -> None:
    made = Router(configured(f"listen 80 {flags}; {INCLUDE}"), speaks_proxy_protocol=speaks)
    (found,) = made.routes(Identifier(IdentifierType.DNS, "a.example"), 4)
    assert found.outcome is expected


def test_plain_request_at_a_port_for_tls_may_be_redirected() -> None:
    page = "listen 80 ssl; error_page 497 {}https://$host$request_uri;"
    https = f"listen 443 ssl; {INCLUDE}"
    assert [route(page.format(code), https).first.ending.status for code in ("", "=308 ")] == [302, 308]
    assert route(page.format(""), https).is_good
    assert route("listen 80 ssl; error_page 497 /plain;").outcome is Outcome.PLAIN


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("rewrite ^ /x?a=1; if ($arg_a) { return 403; } return 404;", (Outcome.RETURNED, 404, 3)),
        ("rewrite ^ /x?a=1; if ($args = a=1) { return 410; } return 404;", (Outcome.RETURNED, 410, 3)),
        ("rewrite ^ /x?; if ($is_args) { return 403; } return 410;", (Outcome.RETURNED, 410, 3)),
        ("rewrite ^ /x?a=1; rewrite ^ https://$host/y redirect;", (Outcome.NO_LISTENER, None, None)),
        ("rewrite ^/(a)?.* /x$1; if ($uri = /x) { return 410; } return 404;", (Outcome.RETURNED, 410, 3)),
        ("if ($uri ~ nothing) { return 403; } return 410;", (Outcome.RETURNED, 410, 3)),
        (
            "error_page 410 /gone; location / { return 410; } location = /gone { rewrite ^ /; }",
            (Outcome.RETURNED, 410, 3),
        ),
        ("location / { proxy_pass http://unix:/run/wellkeeper/public.sock:/x; }", (Outcome.MISROUTED, None, 3)),
        ("set $u wellkeeper_responder; location / { proxy_pass http://$u/x; }", (Outcome.MISROUTED, None, 3)),
        ("location @a { return 410; } location / { try_files $uri @b; }", (Outcome.SERVED, 404, None)),
        (
            "location / { try_files $uri @a; } location @a { rewrite ^ /y last; } location /y { return 410; }",
            (Outcome.RETURNED, 410, 3),
        ),
    ],
)
def test_rewrites_and_internal_redirects_are_followed(block: str, expected: tuple[Outcome, int, int]) -> None:
    assert outcome(block) == expected


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("deny unix:; deny 192.0.2.0/24;", (Outcome.ANSWERED, None)),
        ("allow 10.0.0.0/8; deny all;", (Outcome.REFUSED, 403)),
        ("deny ::/0;", (Outcome.ANSWERED, None)),
        ("deny 0.0.0.0/0;", (Outcome.REFUSED, 403)),
        ("satisfy any; allow all; deny all;", (Outcome.ANSWERED, None)),
        ("auth_basic x; auth_basic_user_file /x;", (Outcome.REFUSED, 401)),
        ("auth_request /x; location = /x { return 401; }", (Outcome.REFUSED, 401)),
        ("auth_request /x; location = /x { proxy_pass http://127.0.0.1:9; }", (Outcome.REFUSED, None)),
    ],
)
def test_access_rules_are_those_for_a_public_address(rules: str, expected: tuple[Outcome, int | None]) -> None:
    found = route(f"{rules} {BARE}").ending
    assert (found.outcome, found.status) == expected


def test_upstream_with_the_responders_socket_is_the_responder() -> None:
    mine = "upstream mine { server unix:/run/wellkeeper/public.sock; }"
    http = f"{UPSTREAM} {mine} upstream app {{ server 127.0.0.1:3; }}"
    assert route("location / { proxy_pass http://mine; }", http=http).is_good
    assert not route("location / { proxy_pass http://app; }", http=http).is_good


def test_missing_upstream_is_the_cause() -> None:
    assert route(INCLUDE, http="").outcome is Outcome.NO_UPSTREAM
