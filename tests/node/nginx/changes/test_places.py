"""The places of new server blocks and of the upstream."""

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
    planned,
)
from tests.node.nginx.changes.vhosts import CHALLENGE
from wellkeeper_node.nginx.changes.plan import propose
from wellkeeper_node.nginx.changes.server_block import Host
from wellkeeper_node.nginx.changes.targets import Paths, Target
from wellkeeper_node.nginx.configuration import parse


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
    ("main", "in_dump"),
    [
        pytest.param("http { }\n", "http { }\n", id="empty"),
        pytest.param("http {\n", "http { }\n", id="changed meanwhile"),
    ],
)
def test_lines_for_an_http_block_that_cannot_be_edited_are_noted(main: str, in_dump: str) -> None:
    every = {**SNIPPETS, MAIN: in_dump}
    dump = "".join(f"# configuration file {path}:\n{text}\n" for path, text in every.items())
    plan = propose(parse(dump), {**every, MAIN: main}, [Target(("www.example.org",), PATHS)], Host())
    assert plan.changes == {}
    assert plan.notes[-1].startswith("Add to nginx's http block: server {")
    assert plan.notes[-1].endswith("include snippets/wellkeeper/upstream.conf;")


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
