"""Read-backs and handshakes with a real nginx: common server blocks, and our explanations."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stand.certificates import make_server_certificate
from stand.nginx import NginxServer, NginxSettings, Site
from tests.fakes_deliver import dns
from tests.integration.nodes import responding
from tests.responder.messages import OTHER_TOKEN, THUMBPRINT, TOKEN
from wellkeeper_client import wire
from wellkeeper_node.certificates import reading
from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Answer, Identifier, IdentifierType, Node, ReadBack
from wellkeeper_node.probes.probes import NodeProbes

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

ANSWER = Answer(TOKEN, THUMBPRINT, dns("a.example"))
SNIPPET_INCLUDE = "challenge.conf"


@pytest.fixture
def settings(folder: Path, http_port: int, https_port: int) -> NginxSettings:
    made = make_server_certificate(folder / "tls", ("a.example",))
    addresses = ("127.0.0.1", "::1")
    return NginxSettings(
        folder / "public.sock",
        http=tuple((address, http_port) for address in addresses),
        https=tuple((address, https_port) for address in addresses),
        sites=(Site(("a.example",), made.certificate.parent),),
    )


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept a connection and never answer."""
    while await reader.read(1000):
        pass
    writer.close()


@asynccontextmanager
async def node(folder: Path, settings: NginxSettings, *edits: tuple[str, str]) -> AsyncIterator[Node]:
    """Run an nginx with an edited configuration; the first match of each edit is replaced."""
    server = NginxServer(folder / "nginx", settings)
    for old, new in edits:
        text = server.config_path.read_text()
        assert old in text
        server.config_path.write_text(text.replace(old, new, 1))
    async with server:
        yield Node("edge-1", "", settings.http, settings.https)


async def ask(node: Node, answer: Answer = ANSWER) -> ReadBack:
    """Read back over both families, which must agree, and return one result."""
    v4, v6 = await NodeProbes().read_back(node, answer)
    assert (v4.status, v4.cause) == (v6.status, v6.cause)
    assert v4.address != v6.address
    return v4


async def test_token_is_read_back_over_both_families(folder: Path, settings: NginxSettings) -> None:
    async with responding(folder, TOKEN), node(folder, settings) as edge:
        result = await ask(edge)
    assert result == ReadBack(
        "edge-1",
        f"http://a.example/.well-known/acme-challenge/{TOKEN}",
        f"127.0.0.1:{settings.http[0][1]}",
        200,
        None,
    )


@pytest.mark.parametrize(
    "identifier",
    [Identifier(IdentifierType.IP, "192.0.2.7"), Identifier(IdentifierType.IP, "2001:db8::7")],
    ids=["v4", "v6"],
)
async def test_ip_address_identifier_is_requested_by_address(
    folder: Path, settings: NginxSettings, identifier: Identifier
) -> None:
    async with responding(folder, TOKEN), node(folder, settings) as edge:
        assert (await ask(edge, replace(ANSWER, identifier=identifier))).cause is None


async def test_redirect_of_everything_to_https_is_followed_to_the_same_node(
    folder: Path, settings: NginxSettings
) -> None:
    redirect = "if ($scheme = http) { return 301 https://$host$request_uri; }"
    async with responding(folder, TOKEN), node(folder, replace(settings, in_server=redirect)) as edge:
        result = await ask(edge)
        assert (result.status, result.cause) == (200, None)
        assert result.url.startswith("https://a.example/")
        assert result.address.endswith(f":{settings.https[0][1]}")
        (lost,) = await NodeProbes().read_back(
            replace(edge, http_addresses=settings.http[:1], https_addresses=()), ANSWER
        )
        assert "edge-1 has no https_addresses" in (lost.cause or "")


async def test_redirect_to_https_is_followed_with_the_name_and_fails_as_it_would_for_the_ca(
    folder: Path, settings: NginxSettings
) -> None:
    """Use a default server that refuses the handshake, a common precaution."""
    listen = " ".join(f"listen {host}:{settings.https[0][1]} default_server ssl;" for host in ("127.0.0.1", "[::1]"))
    settings = replace(
        settings,
        in_http=f"server {{ {listen} ssl_reject_handshake on; }}",
        in_server="if ($scheme = http) { return 301 https://$host$request_uri; }",
    )
    no_default = ("ssl default_server", "ssl")
    async with responding(folder, TOKEN), node(folder, settings, no_default, no_default) as edge:
        assert (await ask(edge)).cause is None
        result = await ask(edge, replace(ANSWER, identifier=dns("unknown.example")))
    assert result.status is None
    assert "the TLS handshake failed after a redirect to https" in (result.cause or "")


@pytest.mark.parametrize(
    ("in_server", "status", "words"),
    [
        ("return 301 $scheme://$host$request_uri;", 301, "a redirect loop"),
        ("return 302 $scheme://$host/x$request_uri;", 302, "the CA follows only 10 redirects"),
        ("return 301 https://$host:8443/;", 301, "http and https on ports 80 and 443"),
        ("return 301 ftp://$host/;", 301, "http and https on ports 80 and 443"),
        ("return 303 https://$host$request_uri;", 303, "303, which the CA does not follow"),
        ("return 401;", 401, "auth_basic"),
        ("return 403;", 403, "location ^~"),
        ("return 444;", None, "return 444"),
        ("return 503;", 503, "also limits the CA"),
        ("return 200 '<html>Hello';", 200, "the answer is a web page"),
        ("return 200 '';", 200, "is empty"),
        ("return 200 'hi';", 200, "but 'hi'"),
        (f"return 200 '{TOKEN}.{'q' * 43}';", 200, "another ACME client answers"),
    ],
    ids=lambda value: value.strip(";")[:30] if isinstance(value, str) and "return" in value else "",
)
async def test_server_block_that_answers_the_request_itself_is_explained(
    folder: Path, settings: NginxSettings, in_server: str, status: int | None, words: str
) -> None:
    async with responding(folder, TOKEN), node(folder, replace(settings, in_server=in_server)) as edge:
        result = await ask(edge)
    assert result.status == status
    assert words in f"{result.cause}. {result.remedy}"


@pytest.mark.parametrize(("count", "is_followed"), [(10, True), (11, False)])
async def test_at_most_ten_redirects_are_followed(
    folder: Path, settings: NginxSettings, count: int, is_followed: bool
) -> None:
    in_server = f'if ($args !~ "^x{{{count}}}$") {{ return 302 http://$host$uri?x$args; }}'
    async with responding(folder, TOKEN), node(folder, replace(settings, in_server=in_server)) as edge:
        result = await ask(edge)
    assert (result.cause is None) is is_followed
    assert result.url.endswith("?" + "x" * 10)


async def test_missing_location_is_distinguished_from_a_missing_token(folder: Path, settings: NginxSettings) -> None:
    settings = replace(settings, location="return 404;")
    async with responding(folder, OTHER_TOKEN):
        async with node(folder, settings) as edge:
            assert "the responder behind this nginx lacks the token" in ((await ask(edge)).cause or "")
        server = NginxServer(folder / "nginx", settings)
        text = server.config_path.read_text()
        lines = [line for line in text.splitlines() if SNIPPET_INCLUDE not in line or line.strip().startswith("#")]
        server.config_path.write_text("\n".join(lines))
        async with server:
            cause = (await ask(Node("edge-1", "", settings.http, settings.https))).cause or ""
    assert "server block for a.example does not include the challenge location" in cause


async def test_dead_socket_and_hanging_responder_are_distinguished(folder: Path, settings: NginxSettings) -> None:
    async with node(folder, settings) as edge:
        assert "cannot reach the responder's socket" in ((await ask(edge)).cause or "")
        server = await asyncio.start_unix_server(hang, folder / "public.sock")
        (folder / "public.sock").chmod(0o666)
        async with server:
            assert "did not answer nginx in time" in ((await ask(edge)).cause or "")


async def test_socket_not_accessible_to_workers_is_explained(folder: Path, settings: NginxSettings) -> None:
    async with responding(folder, TOKEN) as socket, node(folder, settings) as edge:
        socket.chmod(0o000)
        result = await ask(edge)
    # A worker that runs as root can open it anyway; without a listener, no worker could.
    assert result.cause is None or "cannot reach the responder's socket" in result.cause


async def test_silent_and_closed_ports_are_distinguished(http_port: int) -> None:
    edge = Node("edge-1", "", (("127.0.0.1", http_port),), ())
    (refused,) = await NodeProbes().read_back(edge, ANSWER)
    assert refused.status is None
    assert f"'listen {http_port};'" in refused.remedy
    server = await asyncio.start_server(hang, "127.0.0.1", http_port)
    async with server:
        (silent,) = await NodeProbes(0.3).read_back(edge, ANSWER)
    assert "a firewall drops the connection" in (silent.cause or "")


async def test_tls_port_is_explained(folder: Path, settings: NginxSettings) -> None:
    async with node(folder, settings) as edge:
        (result,) = await NodeProbes().read_back(replace(edge, http_addresses=settings.https[:1]), ANSWER)
    assert "http_addresses" in result.remedy


async def test_port_without_http_is_explained(http_port: int) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", http_port):
        (result,) = await NodeProbes().read_back(Node("edge-1", "", (("127.0.0.1", http_port),), ()), ANSWER)
    assert "not HTTP/1.1" in (result.cause or "")


@pytest.mark.parametrize("name", ["a.example", "unknown.example"])
async def test_handshake_returns_the_leaf(folder: Path, settings: NginxSettings, name: str) -> None:
    async with node(folder, settings):
        leaf = await NodeProbes().handshake(settings.https[1], dns(name))
    assert leaf == reading.read_certificate((folder / "tls/fullchain.pem").read_bytes())


async def test_handshake_for_an_address_sends_no_name(folder: Path, settings: NginxSettings) -> None:
    other = make_server_certificate(folder / "other", ("192.0.2.7",))
    sites = (Site(("_",), other.certificate.parent), *settings.sites)
    async with node(folder, replace(settings, sites=sites)):
        by_address = await NodeProbes().handshake(settings.https[0], Identifier(IdentifierType.IP, "192.0.2.7"))
        by_name = await NodeProbes().handshake(settings.https[0], dns("a.example"))
    assert by_address == reading.read_certificate(other.certificate.read_bytes())
    assert by_name == reading.read_certificate((folder / "tls/fullchain.pem").read_bytes())


async def test_refused_handshake_returns_none(folder: Path, settings: NginxSettings) -> None:
    refusing = "server { listen 127.0.0.1:%d ssl; server_name refused.example; ssl_reject_handshake on; }"
    in_http = refusing % settings.https[0][1]
    async with node(folder, replace(settings, in_http=in_http)):
        assert await NodeProbes().handshake(settings.https[0], dns("refused.example")) is None


async def test_closed_silent_and_plain_text_ports_are_errors(
    folder: Path, settings: NginxSettings, https_port: int
) -> None:
    address = ("127.0.0.1", https_port)
    with pytest.raises(VerifyError, match=rf"no TLS handshake for \S+ at 127\.0\.0\.1:{https_port}: .*refused"):
        await NodeProbes().handshake(address, dns("a.example"))
    async with node(folder, settings):
        with pytest.raises(VerifyError, match="it answers in plain text"):
            await NodeProbes().handshake(settings.http[0], dns("a.example"))
    async with await asyncio.start_server(hang, *address):
        with pytest.raises(VerifyError, match=r"no TLS handshake for .* within 0\.3 s"):
            await NodeProbes(0.3).handshake(address, dns("a.example"))
    async with await asyncio.start_server(lambda _, writer: writer.close(), *address):
        with pytest.raises(VerifyError, match="it closed the connection"):
            await NodeProbes().handshake(address, dns("a.example"))


@pytest.mark.parametrize(
    ("in_server", "is_elsewhere"),
    [
        pytest.param("", False, id="challenge location without the token"),
        pytest.param("if ($scheme = http) { return 301 https://$host$request_uri; }", False, id="redirected to it"),
        pytest.param("return 403;", True, id="refused"),
        pytest.param("return 503;", False, id="overloaded"),
        pytest.param(
            f"location = {wire.CHALLENGE_PREFIX}{TOKEN} {{ proxy_pass http://127.0.0.1:1; }}", True, id="another's 502"
        ),
        pytest.param(
            "if ($scheme = http) { return 301 https://$host/; } return 503;", True, id="redirected to an error"
        ),
        pytest.param("return 301 http://$host:8443/;", True, id="redirected to another port"),
    ],
)
async def test_answer_from_elsewhere_than_the_challenge_location_is_recognised(
    folder: Path, settings: NginxSettings, in_server: str, is_elsewhere: bool
) -> None:
    async with responding(folder), node(folder, replace(settings, in_server=in_server)) as edge:
        assert (await ask(edge)).is_elsewhere is is_elsewhere


async def test_redirect_to_a_port_without_a_listener_is_recognised(folder: Path, settings: NginxSettings) -> None:
    redirect = "return 301 https://$host$request_uri;"
    async with responding(folder), node(folder, replace(settings, in_server=redirect)) as edge:
        assert (await ask(replace(edge, https_addresses=(("127.0.0.1", 1), ("::1", 1))))).is_elsewhere
        assert not (await ask(replace(edge, http_addresses=(("127.0.0.1", 1), ("::1", 1))))).is_elsewhere
