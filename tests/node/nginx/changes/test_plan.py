"""The proposed changes of nginx's configuration, for server blocks as users have them."""

from collections.abc import Mapping

import pytest

from tests.node.nginx.changes.vhosts import CHALLENGE, TLS_LISTEN, VHOSTS, Vhost
from wellkeeper_node.nginx.changes.plan import Plan, Target, propose
from wellkeeper_node.nginx.changes.server_block import Host, Paths
from wellkeeper_node.nginx.configuration import parse

MAIN = "/etc/nginx/nginx.conf"
SITE = "/etc/nginx/sites-enabled/site"
UPSTREAM = "/etc/nginx/conf.d/wellkeeper.conf"
LIVE = "/var/lib/wellkeeper/certificates/live/www.example.org"
OLD = "/etc/letsencrypt/live/www.example.org"
PATHS = Paths(f"{LIVE}/fullchain.pem", f"{LIVE}/privkey.pem")
SNIPPETS: Mapping[str, str] = {
    "/etc/nginx/snippets/wellkeeper/challenge.conf": (
        "location ^~ /.well-known/acme-challenge/ {\n    proxy_pass http://wellkeeper_responder;\n}\n"
    ),
    "/etc/nginx/snippets/wellkeeper/tls.conf": "ssl_protocols TLSv1.2 TLSv1.3;\n",
    "/etc/nginx/snippets/wellkeeper/upstream.conf": "upstream wellkeeper_responder {\n    server unix:/s;\n}\n",
}
NGINX_CONF = "events { }\nhttp {\n    include conf.d/*.conf;\n    include sites-enabled/*;\n}\n"
WITH_UPSTREAM = {UPSTREAM: "include snippets/wellkeeper/upstream.conf;\n"}


def planned(files: Mapping[str, str], *names: str, on: Host | None = None, main: str = NGINX_CONF) -> Plan:
    """Return the changes that a certificate for these names needs."""
    every = {MAIN: main, **SNIPPETS, **files}
    dump = "".join(f"# configuration file {path}:\n{text}\n" for path, text in every.items())
    return propose(parse(dump), every, [Target(names or ("www.example.org",), PATHS)], on or Host())


def filled(text: str) -> str:
    return text.replace("{live}", LIVE).replace("{old}", OLD)


def after(plan: Plan, path: str = SITE) -> str:
    return plan.changes[path][1]


@pytest.mark.parametrize("vhost", VHOSTS.values(), ids=VHOSTS)
def test_server_block_answers_challenges_and_uses_the_certificate(vhost: Vhost) -> None:
    plan = planned({**WITH_UPSTREAM, SITE: filled(vhost.before)}, *vhost.names)
    assert plan.notes == ()
    assert list(plan.changes) == [SITE]
    assert after(plan) == filled(vhost.after)


@pytest.mark.parametrize("vhost", VHOSTS.values(), ids=VHOSTS)
def test_nothing_is_proposed_a_second_time(vhost: Vhost) -> None:
    plan = planned({**WITH_UPSTREAM, SITE: filled(vhost.after)}, *vhost.names)
    assert (plan.changes, plan.patch) == ({}, "")


def test_missing_upstream_is_included_in_a_file_of_its_own() -> None:
    plan = planned({SITE: "server { listen 80; server_name www.example.org; }\n"})
    assert plan.changes[UPSTREAM] == ("", "include snippets/wellkeeper/upstream.conf;\n")
    assert "--- /dev/null\n+++ etc/nginx/conf.d/wellkeeper.conf\n@@ -0,0 +1 @@\n" in plan.patch


def test_lines_go_into_the_http_block_when_conf_d_is_not_included() -> None:
    plan = planned({}, main="http {\n    include mime.types;\n}\n")
    text = after(plan, MAIN)
    assert "    include mime.types;\n    server {\n" in text
    assert text.endswith("    include snippets/wellkeeper/upstream.conf;\n}\n")


@pytest.mark.parametrize(
    "main",
    [
        pytest.param("http {\n    # include conf.d/*.conf;\n    include mime.types;\n}\n", id="commented"),
        pytest.param(
            "stream {\n    include /etc/nginx/conf.d/*.conf;\n}\nhttp {\n    include mime.types;\n}\n", id="in stream"
        ),
        pytest.param("http {\n    include stream.conf.d/*.conf;\n    include mime.types;\n}\n", id="another directory"),
        pytest.param("http {\n    include /srv/conf.d/*.conf;\n    include mime.types;\n}\n", id="elsewhere"),
    ],
)
def test_file_is_created_only_where_the_http_block_includes_it(main: str) -> None:
    plan = planned({}, main=main)
    assert list(plan.changes) == [MAIN]
    assert "    include mime.types;\n    server {\n        listen 80;\n" in after(plan, MAIN)


@pytest.mark.parametrize("pattern", ["conf.d/*.conf", "/etc/nginx/conf.d/*", "conf.?/*.conf"])
def test_file_is_created_where_the_http_block_includes_it(pattern: str) -> None:
    plan = planned({}, main=f"http {{\n    include {pattern};\n}}\n")
    assert list(plan.changes) == ["/etc/nginx/conf.d/www.example.org.conf", UPSTREAM]


def test_blocks_are_appended_to_a_file_of_that_name() -> None:
    file = "/etc/nginx/conf.d/www.example.org.conf"
    old = "server {\n    listen 8080;\n    server_name www.example.org;\n}\n"
    plan = planned({**WITH_UPSTREAM, file: old})
    assert list(plan.changes) == [file]
    assert after(plan, file).startswith(f"{old}\nserver {{\n    listen 80;\n")
    assert f"--- {file[1:]}\n" in plan.patch


def test_blocks_are_appended_to_a_file_of_that_name_that_is_edited_too() -> None:
    file = "/etc/nginx/conf.d/a.example.conf"
    old = "server {\n    listen 80;\n    server_name b.example;\n    root /srv;\n}\n"
    every = {MAIN: NGINX_CONF, **SNIPPETS, **WITH_UPSTREAM, file: old}
    dump = "".join(f"# configuration file {path}:\n{text}\n" for path, text in every.items())
    targets = [Target((f"{one}.example",), Paths(f"/live/{one}", f"/key/{one}")) for one in "ab"]
    text = after(propose(parse(dump), every, targets, Host()), file)
    assert text.count(CHALLENGE) == text.count("ssl_certificate ") == 2
    assert "server_name a.example;" in text


def test_upstream_is_appended_to_a_file_of_that_name() -> None:
    plan = planned({UPSTREAM: "# empty\n", SITE: "server { listen 80; server_name www.example.org; }\n"})
    assert after(plan, UPSTREAM) == "# empty\n\ninclude snippets/wellkeeper/upstream.conf;\n"


@pytest.mark.parametrize("main", [NGINX_CONF, "http {\n    include mime.types;\n}\n"])
def test_second_certificate_for_the_same_new_names_gets_a_note(main: str) -> None:
    every = {MAIN: main, **SNIPPETS, **WITH_UPSTREAM}
    dump = "".join(f"# configuration file {path}:\n{text}\n" for path, text in every.items())
    targets = [Target(("a.example",), Paths(f"/live/{kind}", f"/key/{kind}")) for kind in ("ec", "rsa")]
    plan = propose(parse(dump), every, targets, Host())
    assert "ssl_certificate /live/ec;" in plan.patch
    assert plan.patch.count("server_name") == 2
    [note] = plan.notes
    assert "a.example" in note
    assert "/live/rsa" in note


def test_name_without_a_server_block_gets_a_file_with_both_blocks() -> None:
    text = after(planned(WITH_UPSTREAM), "/etc/nginx/conf.d/www.example.org.conf")
    assert text.count("server_name www.example.org;") == 2
    assert text.count(CHALLENGE) == 1
    assert f"ssl_certificate {LIVE}/fullchain.pem;" in text


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


def test_block_for_port_80_is_added_to_a_site_on_443_alone() -> None:
    plan = planned({**WITH_UPSTREAM, SITE: "server {\n    listen 443 ssl;\n    server_name www.example.org;\n}\n"})
    assert after(plan).endswith(
        "server {\n    listen 80;\n    listen [::]:80;\n    server_name www.example.org;\n"
        f"    {CHALLENGE}\n    location / {{ return 301 https://$host$request_uri; }}\n}}\n"
    )


def test_places_of_the_includes_are_those_in_the_new_files() -> None:
    plan = planned({SITE: filled(VHOSTS["redirect beside the site"].before)})
    assert set(plan.includes) == {
        (f"{UPSTREAM}:1", "include snippets/wellkeeper/upstream.conf;"),
        (f"{SITE}:5", CHALLENGE),
    }


def test_ipv6_is_left_out_on_a_host_without_it() -> None:
    plan = planned({SITE: VHOSTS["several blocks in a file"].before}, on=Host(has_ipv6=False))
    assert "[::]" not in after(plan)


@pytest.mark.parametrize("listen", ["listen 192.0.2.1:80;", "listen 80; listen [2001:db8::1]:80;"])
def test_block_of_certain_addresses_keeps_them(listen: str) -> None:
    plan = planned({SITE: f"server {{ {listen} server_name www.example.org; }}\n"})
    assert "[::]:80" not in after(plan)


def test_include_of_a_pair_alone_is_replaced() -> None:
    snakeoil = "# Debian's\nssl_certificate /etc/ssl/s.pem;\nssl_certificate_key /etc/ssl/s.key;\n"
    block = (
        "server {\n    listen 443 ssl;\n    listen 80;\n    server_name www.example.org;\n"
        "    include snippets/snakeoil.conf;\n}\n"
    )
    plan = planned({"/etc/nginx/snippets/snakeoil.conf": snakeoil, SITE: block})
    assert "snakeoil" not in after(plan)
    assert f"\n    ssl_certificate {LIVE}/fullchain.pem;\n    ssl_certificate_key {LIVE}/privkey.pem;\n" in after(plan)


def test_pair_in_a_file_with_other_directives_is_left_to_the_user() -> None:
    shared = "ssl_protocols TLSv1.2;\nssl_certificate /etc/ssl/s.pem;\nssl_certificate_key /etc/ssl/s.key;\n"
    block = (
        "server {\n    listen 443 ssl;\n    listen 80;\n    server_name www.example.org;\n    include ssl.conf;\n}\n"
    )
    plan = planned({"/etc/nginx/ssl.conf": shared, SITE: block})
    [note] = plan.notes
    assert note.startswith(f"{SITE}:1 takes its certificate from /etc/nginx/ssl.conf:2. Replace it there with: ")
    assert "include ssl.conf;" in after(plan)


def test_second_pair_of_another_key_type_is_removed() -> None:
    pairs = "".join(
        f"    ssl_certificate /{kind}.pem;\n    ssl_certificate_key /{kind}.key;\n" for kind in ("rsa", "ec")
    )
    block = f"server {{\n    listen 80;\n    listen 443 ssl;\n    server_name www.example.org;\n{pairs}}}\n"
    text = after(planned({SITE: block}))
    assert text.count("ssl_certificate ") == text.count("ssl_certificate_key ") == 1


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
    ],
)
def test_condition_on_the_path_gets_a_guard_if_it_blocks_the_ca(condition: str, is_guarded: bool) -> None:
    line = f"    if ({condition}) {{ return 404; }}\n"
    block = f"server {{\n    listen 80;\n    server_name www.example.org;\n{line}    location / {{ }}\n}}\n"
    text = after(planned({SITE: block}))
    assert line in text
    assert ("{ break; }" in text) == is_guarded


def test_name_in_upper_case_or_with_a_leading_dot_is_found() -> None:
    for name in ("WWW.Example.ORG", ".www.example.org"):
        plan = planned({**WITH_UPSTREAM, SITE: f"server {{ listen 80; server_name {name}; }}\n"})
        assert list(plan.changes) == [SITE]


def test_lua_and_quotes_do_not_confuse_the_positions() -> None:
    block = (
        'server {\n    listen 80;\n    listen [::]:80;\n    server_name www.example.org; # } "\n'
        "    log_format x \"a; } {\" 'b';\n"
        "    location / {\n        content_by_lua_block { local t = { 1, { 2 } } }\n    }\n}\n"
    )
    text = after(planned({SITE: block}))
    assert text.replace("    include snippets/wellkeeper/challenge.conf;\n", "").startswith(
        block.partition("    log_format")[0]
    )
    assert text.endswith(block.partition("    log_format")[2])


def test_file_that_is_included_twice_is_edited_once() -> None:
    main = NGINX_CONF.replace("    include sites", "    include sites-enabled/*;\n    include sites")
    vhost = VHOSTS["site on port 80"]
    assert after(planned({**WITH_UPSTREAM, SITE: vhost.before}, main=main)) == filled(vhost.after)


def test_text_that_differs_from_what_nginx_read_gets_a_note() -> None:
    files = {
        MAIN: NGINX_CONF,
        **SNIPPETS,
        **WITH_UPSTREAM,
        SITE: "server {\nlisten 80; server_name www.example.org; }\n",
    }
    dump = "".join(f"# configuration file {path}:\n{text}\n" for path, text in files.items())
    changed = {**files, SITE: f"\n{files[SITE]}"}
    plan = propose(parse(dump), changed, [Target(("www.example.org",), PATHS)], Host())
    assert plan.notes == (f"cannot find the server block at {SITE}:1. Add the lines there yourself.",)
    assert plan.patch == ""


def test_block_with_the_names_of_two_certificates_uses_the_first() -> None:
    block = "server {\n    listen 80;\n    listen 443 ssl;\n    server_name a.example b.example;\n}\n"
    every = {MAIN: NGINX_CONF, **SNIPPETS, **WITH_UPSTREAM, SITE: block}
    dump = "".join(f"# configuration file {path}:\n{text}\n" for path, text in every.items())
    targets = [Target((f"{one}.example",), Paths(f"/live/{one}", f"/key/{one}")) for one in "ab"]
    plan = propose(parse(dump), every, targets, Host())
    assert plan.notes == (f"{SITE}:1 has names of two certificates; it uses /live/a.",)
    assert after(plan).count(CHALLENGE) == after(plan).count("ssl_certificate ") == 1


DEFAULT = (
    "server {\n    listen 80 default_server;\n    listen [::]:80 default_server;\n"
    "    server_name _;\n    root /srv;\n}\n"
)


def test_site_in_the_default_server_is_edited_rather_than_shadowed() -> None:
    plan = planned({**WITH_UPSTREAM, SITE: DEFAULT})
    assert list(plan.changes) == [SITE]
    assert after(plan) == DEFAULT.replace("_;\n", filled(f"_;\n    {CHALLENGE}\n    {TLS_LISTEN}\n"))


@pytest.mark.parametrize("name", ["*.example.org", ".example.org", "www.example.*", r"~^(?<sub>\w+)\.example\.org$"])
def test_block_that_matches_by_a_pattern_is_edited_rather_than_shadowed(name: str) -> None:
    block = f"server {{\n    listen 80;\n    listen [::]:80;\n    server_name {name};\n    root /srv;\n}}\n"
    plan = planned({**WITH_UPSTREAM, SITE: DEFAULT + block})
    assert list(plan.changes) == [SITE]
    assert after(plan) == DEFAULT + block.replace(f"{name};\n", filled(f"{name};\n    {CHALLENGE}\n    {TLS_LISTEN}\n"))


def test_default_server_answers_challenges_for_names_without_a_block() -> None:
    block = "server {\n    listen 80;\n    listen [::]:80;\n    server_name www.example.org;\n    root /srv;\n}\n"
    text = after(planned({**WITH_UPSTREAM, SITE: DEFAULT + block}, "www.example.org", "example.org"))
    assert text.count(CHALLENGE) == 2
    assert text.count("listen 443 ssl;") == 1


def test_names_that_no_block_answers_for_get_a_redirect() -> None:
    block = "server {\n    listen 80;\n    listen [::]:80;\n    server_name www.example.org;\n    root /srv;\n}\n"
    plan = planned({**WITH_UPSTREAM, SITE: block}, "www.example.org", "example.org")
    text = after(plan, "/etc/nginx/conf.d/example.org.conf")
    assert text.count("server_name example.org;") == text.count(CHALLENGE) == 1
    assert "443" not in text


def test_second_certificate_in_the_default_server_gets_a_block_of_its_own() -> None:
    every = {MAIN: NGINX_CONF, **SNIPPETS, **WITH_UPSTREAM, SITE: DEFAULT}
    dump = "".join(f"# configuration file {path}:\n{text}\n" for path, text in every.items())
    targets = [Target((f"{one}.example",), Paths(f"/live/{one}", f"/key/{one}")) for one in "ab"]
    text = after(propose(parse(dump), every, targets, Host()))
    assert text.count(CHALLENGE) == 1
    assert text.count("listen 443 ssl;") == 2
    assert text.index("ssl_certificate /live/a;") < text.index("server_name b.example;") < text.index("/live/b;")


@pytest.mark.parametrize(
    "others", ["", "server {\n    listen [::]:80 default_server;\n    server_name other.example;\n}\n"]
)
def test_default_server_of_ipv4_becomes_that_of_ipv6_if_there_is_none(others: str) -> None:
    block = "server {\n    listen 80 default_server;\n    server_name www.example.org;\n    root /srv;\n}\n"
    flag = "" if others else " default_server"
    assert f"    listen 80 default_server;\n    listen [::]:80{flag};\n" in after(planned({SITE: others + block}))


def test_files_of_certbot_that_stay_are_noted() -> None:
    block = (
        "server {\n    listen 80;\n    listen 443 ssl;\n    server_name www.example.org;\n"
        "    ssl_dhparam /etc/letsencrypt/ssl-dhparams.pem; # managed by Certbot\n}\n"
    )
    assert planned({SITE: block}).notes == (
        f"{SITE}:5 reads /etc/letsencrypt/ssl-dhparams.pem. Remove that line before you remove certbot.",
    )
