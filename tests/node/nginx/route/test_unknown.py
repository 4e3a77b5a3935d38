"""Routes that the configuration alone does not decide: they are UNKNOWN, unless they are wrong in any case."""

from typing import Final

import pytest

from tests.node.nginx.route.routing import BARE, INCLUDE, UPSTREAM, route
from wellkeeper_node.nginx.route.ending import Outcome


@pytest.mark.parametrize(
    "block",
    [
        f"if ($remote_addr = 192.0.2.1) {{ return 403; }} {INCLUDE}",
        f"if ($http_x_forwarded_proto = http) {{ return 403; }} {INCLUDE}",
        f"if (-f /var/www/maintenance) {{ return 503; }} {INCLUDE}",
        f"if ($host = $geoip_country_code) {{ return 503; }} {INCLUDE}",
        rf'if ($host ~ "a\Kb") {{ return 503; }} {INCLUDE}',
        f"if () {{ return 503; }} {INCLUDE}",
        f"set $x $remote_addr; if ($x) {{ return 403; }} {INCLUDE}",
        rf'rewrite "a\Kb" /x last; {INCLUDE}',
        rf'location ~ "a\Kb" {{ return 403; }} {BARE.replace("^~ ", "")}',
        "return 301 https://$geoip_city/;",
        "rewrite ^ $geoip_city last;",
        "rewrite ^ https://$geoip_city/ redirect;",
        "try_files $uri /$geoip_city; location / { try_files $uri /$geoip_city; }",
        "location /.well-known/ { proxy_pass http://$geoip_city; }",
        "location /.well-known/ { proxy_pass http://203.0.113.7; }",
        "location /.well-known/ { proxy_pass http://127.0.0.1; }",
        "location / { content_by_lua_block { x; } }",
        "access_by_lua_file x; " + INCLUDE,
        f"limit_req zone=x; {INCLUDE}",
        f"modsecurity on; {INCLUDE}",
        f"proxy_cache x; {BARE}",
        f"error_page 404 =200 /x; proxy_intercept_errors on; {BARE}",
        f"error_page 403 404 /x; proxy_intercept_errors on; {BARE}",
        f"if ($http_accept_encoding ~ gzip) {{ return 403; }} {INCLUDE}",
        f"allow 0.0.0.0/1; deny all; {BARE}",
        f"deny 8.0.0.0/8; allow all; {BARE}",
        f"deny 8.0.0.0/8; {BARE}",
        f'satisfy any; allow 0.0.0.0/1; deny all; auth_basic "x"; auth_basic_user_file /x; {BARE}',
    ],
)
def test_what_cannot_be_predicted_is_unknown(block: str) -> None:
    assert route(block).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "block",
    [
        "if ($remote_addr = 192.0.2.1) { return 403; }",
        "if (-f /var/www/maintenance) { return 503; }",
        "location / { proxy_pass http://$geoip_city; }",
        "location / { proxy_pass http://203.0.113.7; }",
        "location /.well-known/ { proxy_pass http://localhost:3000; }",
        "location /.well-known/ { proxy_pass http://unix:/s; }",
    ],
)
def test_what_is_wrong_in_any_case_is_not_unknown(block: str) -> None:
    assert route(block).outcome is Outcome.SERVED


def test_value_of_a_map_decides() -> None:
    maps = (
        UPSTREAM
        + r"""
        map $host $named { hostnames; default 1; }
        map $remote_addr $remote { default 1; }
        map $uri $pattern { default 0; "~*^/\.WELL" 1; "~\K" 0; }
        map $uri $broken { default 0; "~\K" 1; }
        map $http_cookie $exact { default 0; "" 1; }
        map $host $none { b.example 1; }
    """
    )
    found = {
        name: route(f"if (${name}) {{ return 410; }} {INCLUDE}", http=maps).outcome
        for name in ("named", "remote", "pattern", "broken", "exact", "none")
    }
    assert found == {
        "named": Outcome.UNKNOWN,
        "remote": Outcome.UNKNOWN,
        "pattern": Outcome.RETURNED,
        "broken": Outcome.UNKNOWN,
        "exact": Outcome.RETURNED,
        "none": Outcome.ANSWERED,
    }


@pytest.mark.parametrize(("name", "expected"), [("http_accept", "*/*"), ("http_connection", "close")])
def test_headers_of_the_ca_have_values(name: str, expected: str) -> None:
    assert route(f"if (${name} != {expected}) {{ return 403; }} {INCLUDE}").outcome is Outcome.ANSWERED


_UNKNOWN_NAME: Final = r'server_name "~^(?|a|b)\.example$";'


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        (["listen 80 default_server; return 403;", f"{_UNKNOWN_NAME} {INCLUDE}"], Outcome.UNKNOWN),
        (["listen 80 default_server; return 403;", f"{_UNKNOWN_NAME} return 403;"], Outcome.RETURNED),
        ([f"{_UNKNOWN_NAME} return 403;", f"server_name ~^a; {INCLUDE}"], Outcome.UNKNOWN),
        ([f"server_name ~^a; {INCLUDE}", f"{_UNKNOWN_NAME} return 403;"], Outcome.ANSWERED),
        ([f"{_UNKNOWN_NAME} return 403;", f"server_name *.example; {INCLUDE}"], Outcome.ANSWERED),
        ([f"{_UNKNOWN_NAME} return 403;", f"server_name a.example; {INCLUDE}"], Outcome.ANSWERED),
    ],
)
def test_name_with_an_unknown_expression_may_match_after_all_other_words(blocks: list[str], expected: Outcome) -> None:
    assert route(*blocks).outcome is expected
