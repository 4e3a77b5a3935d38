"""The unmodified snippets in a real nginx: forwarded requests and failures; more in test_server_blocks.py."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stand.certificates import make_server_certificate
from stand.nginx import SNIPPETS, NginxServer, NginxSettings, nginx_program, temporary_paths
from tests.integration.nodes import Recorder, responding
from tests.responder.http import Reply, ask
from tests.responder.messages import OTHER_TOKEN, THUMBPRINT, TOKEN
from tests.systemd.pages import configuration
from wellkeeper_client import wire
from wellkeeper_responder.settings import TcpAddress

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

KEY_AUTHORIZATION = f"{TOKEN}.{THUMBPRINT}".encode()
CERTIFICATES_DIR = "/var/lib/wellkeeper/certificates"


class Site:
    """One nginx, with requests to its HTTP port."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def get(self, token: str, method: str = "GET", host: str = "127.0.0.1") -> Reply:
        return await self.ask(method, wire.CHALLENGE_PREFIX + token, host=host)

    async def ask(self, method: str, path: str, host: str = "127.0.0.1", body: str | None = None) -> Reply:
        return await ask(TcpAddress(host, self._port), method, path, {"Accept-Encoding": "gzip"}, body)


@asynccontextmanager
async def site(folder: Path, settings: NginxSettings) -> AsyncIterator[Site]:
    async with NginxServer(folder / "nginx", settings):
        yield Site(settings.http[0][1])


@pytest.fixture
def settings(folder: Path, http_port: int) -> NginxSettings:
    return NginxSettings(folder / "public.sock", http=(("127.0.0.1", http_port), ("::1", http_port)))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_published_token_is_served_over_both_families(folder: Path, settings: NginxSettings, host: str) -> None:
    async with responding(folder, TOKEN), site(folder, settings) as nginx:
        reply = await nginx.get(TOKEN, host=host)
        assert (reply.status, reply.body) == (200, KEY_AUTHORIZATION)
        assert reply.headers["Content-Type"] == "application/octet-stream"
        assert reply.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "in_server",
    [
        pytest.param("gzip on; gzip_types *; gzip_min_length 1;", id="gzip"),
        pytest.param("proxy_bind 127.0.0.1;", id="proxy_bind"),
        pytest.param("proxy_set_header Host other.example;", id="proxy_set_header"),
    ],
)
async def test_server_block_directives_do_not_interfere(folder: Path, settings: NginxSettings, in_server: str) -> None:
    changed = replace(settings, in_server=in_server, location="return 301 https://$host$request_uri;")
    async with responding(folder, TOKEN), site(folder, changed) as nginx:
        served = await nginx.get(TOKEN)
        assert (served.status, served.body) == (200, KEY_AUTHORIZATION)
        missed = await nginx.get(OTHER_TOKEN)
        assert missed.status == 404
        assert wire.UPSTREAM_HEADER not in missed.headers
        assert (await nginx.get("no-token")).status == 404


async def test_responder_receives_the_canonical_path_and_the_client_address(
    folder: Path, settings: NginxSettings
) -> None:
    recorder = Recorder()
    async with recorder.listening(folder), site(folder, settings) as nginx:
        path = f"//.well-known/x/..//acme%2Dchallenge/{TOKEN}?next=/control"
        reply = await nginx.ask("GET", path, body="a body")
        assert (reply.status, reply.body) == (200, b"recorded")
    request_line, *headers = recorder.requests[0].rstrip().split("\r\n")
    assert request_line == f"GET {wire.CHALLENGE_PREFIX}{TOKEN} HTTP/1.1"
    assert {"Host: example.com", "X-Real-IP: 127.0.0.1", "Connection: close"} <= set(headers)
    assert not [header for header in headers if header.lower().startswith(("content-length", "transfer-encoding"))]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("", id="no token"),
        pytest.param("short", id="too short"),
        pytest.param("a" * 129, id="too long"),
        pytest.param(TOKEN + "/", id="slash"),
        pytest.param(TOKEN + "%0a", id="line feed"),
        pytest.param(TOKEN + "%3fx=y", id="encoded question mark"),
        pytest.param(TOKEN + "%20HTTP/1.1", id="space"),
        pytest.param(TOKEN + "//", id="doubled slash at the end"),
        pytest.param(TOKEN + "=", id="padding"),
        pytest.param("%C3%A9" * 22, id="not ASCII"),
        pytest.param("..%2f.well-known%2facme-challenge%2fx", id="another path of the responder"),
        pytest.param("..%2f..%2fv1%2ftokens%2f" + TOKEN, id="the path of control"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_request_without_a_valid_token_never_leaves_nginx(
    folder: Path, settings: NginxSettings, path: str, method: str
) -> None:
    recorder = Recorder()
    async with recorder.listening(folder), site(folder, replace(settings, location="return 404;")) as nginx:
        assert (await nginx.get(path, method)).status == 404
    assert recorder.requests == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_only_get_and_head_reach_the_responder(folder: Path, settings: NginxSettings, method: str) -> None:
    recorder = Recorder()
    async with recorder.listening(folder), site(folder, settings) as nginx:
        assert (await nginx.get(TOKEN, method)).status == 403
        assert recorder.requests == []
        assert (await nginx.get(TOKEN, "HEAD")).status == 200


async def test_dead_socket_is_distinguished_from_a_missing_token(folder: Path, settings: NginxSettings) -> None:
    async with site(folder, settings) as nginx:
        reply = await nginx.get(TOKEN)
        assert (reply.status, reply.headers[wire.UPSTREAM_HEADER]) == (404, "502")
        async with responding(folder, TOKEN):
            # At once: nginx does not mark the upstream as failed.
            assert (await nginx.get(TOKEN)).status == 200
            missed = await nginx.get(OTHER_TOKEN)
            assert missed.status == 404
            assert wire.UPSTREAM_HEADER not in missed.headers


async def test_inaccessible_socket_is_distinguished_from_a_missing_token(folder: Path, settings: NginxSettings) -> None:
    async with responding(folder, TOKEN) as socket:
        socket.chmod(0)
        async with NginxServer(folder / "nginx", settings) as nginx:
            reply = await Site(settings.http[0][1]).get(TOKEN)
            assert (reply.status, reply.headers[wire.UPSTREAM_HEADER]) == (404, "502")
            assert "Permission denied" in nginx.errors()


async def test_hanging_responder_costs_the_ca_two_seconds(folder: Path, settings: NginxSettings) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(hang, folder / "public.sock")
    (folder / "public.sock").chmod(0o666)
    async with server, site(folder, settings) as nginx, asyncio.timeout(40):  # by default it waits for 60
        reply = await nginx.get(TOKEN)
        assert (reply.status, reply.headers[wire.UPSTREAM_HEADER]) == (404, "504")


def test_token_syntax_matches_the_wire_contract() -> None:
    snippet = (SNIPPETS / "challenge.conf").read_text()
    assert re.findall(r"\(\?<wellkeeper_token>(.*?)\)\\z", snippet) == [wire.TOKEN_SYNTAX]
    assert wire.CHALLENGE_PREFIX in snippet
    assert f"add_header {wire.UPSTREAM_HEADER} " in snippet


async def test_nginx_refuses_the_challenge_location_without_its_upstream(folder: Path, http_port: int) -> None:
    """A name server that answers every name would hide the mistake."""
    config = _config(folder, f"server {{ listen 127.0.0.1:{http_port}; include {SNIPPETS}/challenge.conf; }}")
    code, words = await _test(folder, config)
    assert code == 1
    assert 'host not found in upstream "wellkeeper_responder"' in words


async def test_unmodified_snippets_load_without_warnings(folder: Path, http_port: int, https_port: int) -> None:
    """Include upstream.conf, whose socket need not exist, and two sites that share tls.conf."""
    make_server_certificate(folder / "live/www.example.org", ("www.example.org",))
    lines = (SNIPPETS / "certificate.conf.example").read_text()
    sites = "".join(
        f"server {{ listen 127.0.0.1:{https_port} ssl; server_name {name}; include {SNIPPETS}/tls.conf;"
        f" include {SNIPPETS}/challenge.conf; {lines.replace(CERTIFICATES_DIR, str(folder))} }}"
        for name in ("www.example.org", "example.org")
    )
    port_80 = f"server {{ listen 127.0.0.1:{http_port}; include {SNIPPETS}/challenge.conf; }}"
    config = _config(folder, f"include {SNIPPETS}/upstream.conf;\n{port_80}\n{sites}")
    assert await _test(folder, config) == (0, "")


async def test_server_blocks_of_the_readme_are_accepted(folder: Path, http_port: int, https_port: int) -> None:
    make_server_certificate(folder / "live/www.example.org", ("www.example.org",))
    blocks = configuration("README.md", "nginx", "challenge.conf")
    for page, here in (
        ("listen 80", f"listen 127.0.0.1:{http_port}"),
        ("listen 443", f"listen 127.0.0.1:{https_port}"),
        ("[::]:80", f"[::1]:{http_port}"),
        ("[::]:443", f"[::1]:{https_port}"),
        ("snippets/wellkeeper", str(SNIPPETS)),
        (CERTIFICATES_DIR, str(folder)),
    ):
        assert page in blocks
        blocks = blocks.replace(page, here)
    config = _config(folder, f"include {SNIPPETS}/upstream.conf;\n{blocks}")
    assert await _test(folder, config) == (0, "")


def _config(folder: Path, in_http: str) -> Path:
    (folder / "bodies").mkdir()
    config = folder / "nginx.conf"
    config.write_text(
        f"pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary_paths(folder)}\n{in_http} }}"
    )
    return config


async def _test(folder: Path, config: Path) -> tuple[int | None, str]:
    """Return the exit code and the words of `nginx -t`."""
    tested = await asyncio.create_subprocess_exec(
        *(nginx_program(), "-q", "-t", "-e", "stderr", "-p", f"{folder}/", "-c", str(config)),
        stderr=asyncio.subprocess.PIPE,
    )
    _, words = await tested.communicate()
    return tested.returncode, words.decode()
