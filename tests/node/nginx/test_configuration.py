"""The parser of `nginx -T`."""

import pytest

from wellkeeper_node.nginx.configuration import parse, read
from wellkeeper_node.nginx.disk import HostDisk

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


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r"])
def test_only_line_feeds_end_lines_as_for_nginx(character: str) -> None:
    text = f"# a comment{character}http {{\nuser a;\nlog_format x '{character}';\n"
    warning = f"nginx: [warn] a{character}# configuration file /n.conf:\n"
    found = parse(f"{warning}# configuration file /n.conf:\n{text}\n")
    assert [(one.name, one.arguments, one.line) for one in found.walk()] == [
        ("user", ("a",), 2),
        ("log_format", ("x", character), 3),
    ]
    assert (found.errors, found.files) == ((), ("/n.conf",))


def test_relative_paths_start_at_the_directory_of_the_main_file() -> None:
    assert str(parse(DUMP).path("ssl/a.pem")) == "/etc/nginx/ssl/a.pem"
    assert str(parse(DUMP).path("/ssl/a.pem")) == "/ssl/a.pem"


def test_file_that_includes_itself_is_expanded_once() -> None:
    found = parse("# configuration file /n.conf:\nuser a;\ninclude /n.conf;\n")
    assert [one.name for one in found.walk()] == ["user"]


def test_directories_are_those_that_includes_search() -> None:
    assert parse(DUMP).folders == ("/etc/nginx/sites",)
    found = parse("# configuration file /etc/n.conf:\ninclude enabled/*;\ninclude apps/*/n-[a-z].conf;\n").folders
    assert found == ("/etc/enabled", "/etc/apps")
    more = parse(
        "# configuration file /n.conf:\ninclude apps/*/n.conf;\n# configuration file /apps/a/n.conf:\n"
    ).folders
    assert more == ("/apps", "/apps/a")


def test_text_that_the_parser_cannot_read_is_reported_with_its_file() -> None:
    found = parse("# configuration file /n.conf:\nhttp { server { listen 1;\n")
    assert len(found.errors) == 1
    assert "/n.conf" in found.errors[0]


def test_output_without_a_configuration_is_refused() -> None:
    with pytest.raises(ValueError, match="no configuration file"):
        parse("nginx: [emerg] unknown directive\n")


def test_files_and_warnings_are_those_that_nginx_printed() -> None:
    warning = 'nginx: [warn] conflicting server name "a" on 0.0.0.0:80, ignored\n'
    found = parse(f"{warning}{DUMP}")
    assert found.warnings == ('[warn] conflicting server name "a" on 0.0.0.0:80, ignored',)
    assert found.files == tuple(f"/etc/nginx/{name}" for name in FILES)


FILES = ("nginx.conf", "snippets/tls.conf", "sites/b.conf", "sites/a.conf", "sites/deep/c.conf")


class HugeFiles(HostDisk):
    """A disk whose files are larger than any configuration."""

    def read(self, path: str) -> bytes:
        return super().read("/dev/null") + path.encode().ljust(64 * 1024 * 1024)


def test_configuration_that_is_too_large_is_not_read() -> None:
    with pytest.raises(OSError, match="its configuration is too large"):
        read("/nginx.conf", HugeFiles())
