"""The proposed changes of nginx's configuration, for server blocks as users have them."""

import pytest

from tests.node.nginx.changes.planning import (
    LIVE,
    MAIN,
    NGINX_CONF,
    PATHS,
    SITE,
    SNIPPETS,
    UPSTREAM,
    WITH_UPSTREAM,
    after,
    filled,
    planned,
    proposed,
    target,
)
from tests.node.nginx.changes.vhosts import CHALLENGE, TLS_LISTEN, VHOSTS, Vhost
from wellkeeper_node.nginx.changes.plan import propose
from wellkeeper_node.nginx.changes.server_block import Host
from wellkeeper_node.nginx.changes.targets import Paths, Target
from wellkeeper_node.nginx.configuration import parse


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
    for changed in (f"\n{files[SITE]}", files[SITE].removesuffix("}\n")):
        plan = propose(parse(dump), {**files, SITE: changed}, [Target(("www.example.org",), PATHS)], Host())
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


def test_include_that_was_there_is_not_among_the_places() -> None:
    site = f"server {{\n    listen 80;\n    server_name www.example.org;\n    {CHALLENGE}\n}}\n"
    plan = planned({**WITH_UPSTREAM, SITE: site})
    assert "listen 443 ssl;" in after(plan)
    assert [line for _, line in plan.includes] == ["include snippets/wellkeeper/tls.conf;"]


def test_site_on_port_80_with_the_names_of_two_certificates_uses_the_first() -> None:
    site = "server {\n    listen 80;\n    server_name a.example b.example;\n    root /srv;\n}\n"
    plan = proposed({**WITH_UPSTREAM, SITE: site}, [target("a"), target("b")])
    assert "ssl_certificate /live/a;" in after(plan)
    assert "/live/b" not in after(plan)
    assert plan.notes == (f"{SITE}:1 has names of two certificates; it uses /live/a.",)


def test_block_whose_names_are_in_an_included_file_gets_the_lines_at_its_beginning() -> None:
    names = "/etc/nginx/snippets/names.conf"
    files = {
        SITE: "server {\n    include snippets/names.conf;\n    root /srv;\n}\n",
        names: "listen 80;\nserver_name www.example.org;\n",
    }
    text = after(planned({**WITH_UPSTREAM, **files}))
    assert text.startswith("server {\n    include snippets/wellkeeper/challenge.conf;\n")
    assert "    listen 443 ssl;\n" in text


def test_name_that_only_pcre_can_match_is_left_alone() -> None:
    site = "server {\n    listen 80;\n    server_name ~^(?|www|web)[.]example[.]org$;\n}\n"
    plan = planned({**WITH_UPSTREAM, SITE: site})
    assert SITE not in plan.changes
