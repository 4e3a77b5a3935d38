"""Redirects and conditions that keep a challenge or a site from being served."""

import pytest

from tests.node.nginx.changes.planning import (
    LIVE,
    SITE,
    WITH_UPSTREAM,
    after,
    planned,
)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("location / { return 301 https://$host$request_uri; }", id="in a location"),
        pytest.param("location / { rewrite ^ https://$host$request_uri? permanent; }", id="rewrite in a location"),
        pytest.param(
            "location /.well-known/ { root /srv; }\n    location / { return 301 https://$host$request_uri; }",
            id="beside another client's challenges",
        ),
        pytest.param(
            "location ~ /\\.ht { deny all; }\n    location / { return 301 https://$host$request_uri; }",
            id="beside a location that denies",
        ),
        pytest.param("return 301 https://$host$request_uri;\n    location /old { root /srv; }", id="before locations"),
    ],
)
def test_redirect_to_https_does_not_listen_on_443(content: str) -> None:
    block = f"server {{\n    listen 80;\n    listen [::]:80;\n    server_name www.example.org;\n    {content}\n}}\n"
    text = after(planned({**WITH_UPSTREAM, SITE: block}))
    first, _, second = text.partition("\n\nserver {\n    listen 443 ssl;\n")
    assert "443" not in first
    assert f"ssl_certificate {LIVE}/fullchain.pem;" in second


@pytest.mark.parametrize(
    "content",
    [
        "location / { return 404; }\n    location /api { proxy_pass http://api; }",
        "location = / { return 301 https://$host/app/; }\n    location /app/ { root /srv; }",
        "location / { return 301 /app/; }\n    location /app/ { root /srv; }",
        "if ($scheme = http) { return 301 https://$host$request_uri; }\n    root /srv;",
    ],
)
def test_block_that_serves_some_paths_listens_on_443(content: str) -> None:
    block = f"server {{\n    listen 80;\n    server_name www.example.org;\n    {content}\n}}\n"
    text = after(planned({**WITH_UPSTREAM, SITE: block}))
    assert text.count("server {") == 1
    assert "listen 443 ssl;" in text


def test_redirect_in_an_included_file_is_guarded_against() -> None:
    redirect = {"/etc/nginx/redirect.conf": "return 301 https://$host$request_uri;\n"}
    block = "server {\n    listen 80;\n    server_name www.example.org;\n    include redirect.conf;\n}\n"
    text = after(planned({**redirect, SITE: block}))
    assert text.startswith('server {\n    if ($uri ~ "^/\\.well-known/acme-challenge/") { break; }\n    listen 80;\n')


@pytest.mark.parametrize(
    "condition",
    [
        pytest.param("$http_user_agent ~ bot", id="bad clients"),
        pytest.param('$request_uri !~ "^/.well-known/acme-challenge/"', id="challenges are exempt already"),
    ],
)
def test_condition_that_spares_the_ca_stays(condition: str) -> None:
    line = f"    if ({condition}) {{ return 403; }}\n"
    block = f"server {{\n    listen 80;\n    server_name www.example.org;\n{line}}}\n"
    text = after(planned({SITE: block}))
    assert line in text
    assert "break" not in text
    assert "location" not in text


@pytest.mark.parametrize(
    ("condition", "is_guarded"),
    [
        ("$request_uri !~ ^/api", True),
        ("$uri !~* ^/(api|web)", True),
        ("$uri != /index.html", True),
        ('$document_uri ~ "^/[.]"', True),
        ("!-e $request_filename", True),
        ("$request_uri ~ ^/admin", False),
        ("$uri = /old", False),
        pytest.param("$uri ~ ^/(?|a|b)", True, id="a pattern that only PCRE knows"),
    ],
)
def test_condition_on_the_path_gets_a_guard_if_it_blocks_the_ca(condition: str, is_guarded: bool) -> None:
    line = f"    if ({condition}) {{ return 404; }}\n"
    block = f"server {{\n    listen 80;\n    server_name www.example.org;\n{line}    location / {{ }}\n}}\n"
    text = after(planned({SITE: block}))
    assert line in text
    assert ("{ break; }" in text) == is_guarded
