"""The parser of `nginx -T`."""

import pytest

from wellkeeper_node.nginx.configuration import parse

DUMP = """\
nginx: the configuration file /etc/nginx/nginx.conf syntax is ok
nginx: configuration file /etc/nginx/nginx.conf test is successful
# configuration file /etc/nginx/nginx.conf:
events { }
http {
    # ssl_certificate /commented/fullchain.pem;
    include snippets/tls.conf;
    include /etc/nginx/sites/*.conf;
    unknown_module_directive 'a b' {
        inner on;
    }
}

# configuration file /etc/nginx/snippets/tls.conf:
ssl_protocols TLSv1.2 TLSv1.3;

# configuration file /etc/nginx/sites/b.conf:
server {
    listen 443 ssl;
    include snippets/tls.conf;
}

# configuration file /etc/nginx/sites/a.conf:
server {
    ssl_certificate "/live/a b/fullchain.pem"; ssl_certificate_key /live/a/privkey.pem; }

# configuration file /etc/nginx/sites/deep/c.conf:
server { listen 1; }
"""


def test_directives_have_names_arguments_files_and_lines() -> None:
    found = parse(DUMP)
    lines = [(one.name, one.arguments, one.file, one.line) for one in found.walk()]
    assert lines == [
        ("events", (), "/etc/nginx/nginx.conf", 1),
        ("http", (), "/etc/nginx/nginx.conf", 2),
        ("ssl_protocols", ("TLSv1.2", "TLSv1.3"), "/etc/nginx/snippets/tls.conf", 1),
        ("server", (), "/etc/nginx/sites/a.conf", 1),
        ("ssl_certificate", ("/live/a b/fullchain.pem",), "/etc/nginx/sites/a.conf", 2),
        ("ssl_certificate_key", ("/live/a/privkey.pem",), "/etc/nginx/sites/a.conf", 2),
        ("server", (), "/etc/nginx/sites/b.conf", 1),
        ("listen", ("443", "ssl"), "/etc/nginx/sites/b.conf", 2),
        ("ssl_protocols", ("TLSv1.2", "TLSv1.3"), "/etc/nginx/snippets/tls.conf", 1),
        ("unknown_module_directive", ("a b",), "/etc/nginx/nginx.conf", 6),
        ("inner", ("on",), "/etc/nginx/nginx.conf", 7),
    ]
    assert found.errors == ()


def test_relative_paths_start_at_the_directory_of_the_main_file() -> None:
    assert str(parse(DUMP).path("ssl/a.pem")) == "/etc/nginx/ssl/a.pem"
    assert str(parse(DUMP).path("/ssl/a.pem")) == "/ssl/a.pem"


def test_file_that_includes_itself_is_expanded_once() -> None:
    found = parse("# configuration file /n.conf:\nuser a;\ninclude /n.conf;\n")
    assert [one.name for one in found.walk()] == ["user"]


def test_text_that_the_parser_cannot_read_is_reported_with_its_file() -> None:
    found = parse("# configuration file /n.conf:\nhttp { server { listen 1;\n")
    assert len(found.errors) == 1
    assert "/n.conf" in found.errors[0]


def test_output_without_a_configuration_is_refused() -> None:
    with pytest.raises(ValueError, match="no configuration file"):
        parse("nginx: [emerg] unknown directive\n")
