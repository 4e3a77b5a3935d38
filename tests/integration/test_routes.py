"""Predictions of what answers a challenge, each compared with what the real nginx then answers."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from stand.certificates import make_server_certificate
from stand.nginx import SNIPPETS, NginxServer, NginxSettings, nginx_version, temporary_paths
from tests.fakes_deliver import dns
from tests.integration.nodes import responding
from tests.integration.route_cases import EIGHTEEN, MORE, UNPREDICTABLE, WITH_SNIPPET
from tests.integration.route_configurations import CONFIGURATIONS, names
from tests.responder.messages import THUMBPRINT
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.model import Answer, Identifier, IdentifierType, Node, ReadBack
from wellkeeper_node.nginx.configuration import Configuration
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.local import LocalNginx
from wellkeeper_node.nginx.route.ending import Outcome
from wellkeeper_node.nginx.route.read_backs import RouteCauses
from wellkeeper_node.nginx.route.request import TOKEN
from wellkeeper_node.nginx.route.routes import Route, Router
from wellkeeper_node.nginx.sites import Ports
from wellkeeper_node.probes.probes import NodeProbes

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

HOSTS: Final = {4: "127.0.0.1", 6: "::1"}
NAME: Final = dns("a.example")


class Compared:
    """A running nginx with a responder that has the token, and the routes through its configuration."""

    def __init__(self, router: Router, ports: Ports) -> None:
        self._router = router
        self._ports = ports

    async def agree(self, identifier: Identifier, family: int = 4) -> Route:
        """Return the route, after comparing it with the answer."""
        route = self._router.route(identifier, HOSTS[family])
        answer = await self.ask(identifier, family)
        assert route.is_good == (answer.cause is None), (identifier, family, route, answer)
        if route.ending.status is not None:
            assert route.ending.status == answer.status, (identifier, family, route, answer)
        return route

    async def ask(self, identifier: Identifier, family: int = 4) -> ReadBack:
        """Ask nginx as the CA does."""
        (found,) = await NodeProbes().read_back(self._node(family), Answer(TOKEN, THUMBPRINT, identifier))
        return found

    async def explain(self, identifier: Identifier, result: ReadBack) -> tuple[ReadBack, ...]:
        """Return the result with the cause from the configuration."""
        answer = Answer(TOKEN, THUMBPRINT, identifier)
        return await RouteCauses(self, SystemClock()).explain(self._node(4), answer, [result])

    async def configuration(self) -> Configuration:
        """Implement `ConfigurationSource`."""
        return self._router.configuration

    def _node(self, family: int) -> Node:
        host = HOSTS[family]
        return Node("n", "", ((host, self._ports.http),), ((host, self._ports.https),))


@asynccontextmanager
async def comparing(folder: Path, ports: Ports, http: str) -> AsyncIterator[Compared]:
    """Run nginx with this content of the http block."""
    addresses = tuple((host, ports.http) for host in HOSTS.values())
    server = NginxServer(folder / "nginx", NginxSettings(folder / "public.sock", addresses))
    first_line = server.config_path.read_text().partition("\n")[0]  # the user of the workers
    server.config_path.write_text(
        f"{first_line}\ndaemon off;\nworker_processes 2;\npid {server.pid_path};\n"
        f"error_log {server.error_log} notice;\nevents {{}}\nhttp {{\naccess_log off;\n"
        f"{temporary_paths(folder / 'nginx')}\n"
        f"upstream wellkeeper_responder {{ server unix:{folder}/public.sock max_fails=0; }}\n{http}\n}}\n"
    )
    async with responding(folder, TOKEN), server:
        nginx = LocalNginx(Control(tuple(server.argv()), server.pid_path), SystemClock())
        configuration = await nginx.configuration()
        assert configuration.errors == ()
        yield Compared(Router(configuration, ports, False), ports)


def filled(text: str, folder: Path, ports: Ports) -> str:
    """Return the configuration with the paths and ports of this test."""
    values = {"FOLDER": folder, "SNIPPETS": SNIPPETS, "PORT80": ports.http, "PORT443": ports.https}
    for name, value in values.items():
        text = text.replace(name, str(value))
    return text


def server(listen: str, names: str, content: str) -> str:
    return f"server {{\n    {listen}\n    server_name {names};\n    {content}\n}}\n"


@pytest.fixture
def ports(http_port: int, https_port: int) -> Ports:
    return Ports(http_port, https_port)


MAPS: Final = """
proxy_cache_path FOLDER/cache keys_zone=cache:1m;
map $uri $is_challenge { default 0; ~^/\\.well-known/acme-challenge/ 1; }
map $host $closed_by_map { default ""; a.example yes; }
map $uri $realm { default x; ~^/\\.well-known/ off; }
"""


@pytest.mark.parametrize("name", [*EIGHTEEN, *WITH_SNIPPET, *MORE])
async def test_prediction_for_a_server_block_is_what_nginx_answers(folder: Path, ports: Ports, name: str) -> None:
    content = {**EIGHTEEN, **WITH_SNIPPET, **MORE}[name]
    tls = make_server_certificate(folder / "tls", ("a.example",)).certificate.parent
    pair = f"ssl_certificate {tls}/fullchain.pem; ssl_certificate_key {tls}/privkey.pem;"
    http = server("listen PORT80; listen [::]:PORT80;", "a.example", content)
    https = server("listen PORT443 ssl;", "a.example", f"{pair} root FOLDER;")
    async with comparing(folder, ports, filled(MAPS + http + https, folder, ports)) as compared:
        route = compared._router.route(NAME, HOSTS[4])  # noqa: SLF001
        if name in UNPREDICTABLE:
            assert route.outcome is Outcome.UNKNOWN
            return
        assert route.outcome is not Outcome.UNKNOWN, route
        for family in HOSTS:
            await compared.agree(NAME, family)


@pytest.mark.parametrize("name", CONFIGURATIONS)
async def test_predictions_for_every_name_and_family_are_what_nginx_answers(
    folder: Path, ports: Ports, name: str
) -> None:
    text = CONFIGURATIONS[name]
    tls = make_server_certificate(folder / "tls", ("a.example",)).certificate.parent
    async with comparing(folder, ports, filled(text.replace("TLS/", f"{tls}/"), folder, ports)) as compared:
        found = [await compared.agree(dns(one), family) for one in names(text) for family in HOSTS]
        for address in ("192.0.2.7", "2001:db8::7"):
            identifier = Identifier(IdentifierType.IP, address)
            found += [await compared.agree(identifier, family) for family in HOSTS]
    assert {one.is_good for one in found} == {True, False}
    assert Outcome.UNKNOWN not in {one.outcome for one in found}


@pytest.mark.parametrize("flags", ["ssl", "proxy_protocol", "http2"])
async def test_prediction_for_flags_of_listen_is_what_nginx_answers(folder: Path, ports: Ports, flags: str) -> None:
    tls = make_server_certificate(folder / "tls", ("a.example",)).certificate.parent
    pair = f"ssl_certificate {tls}/fullchain.pem; ssl_certificate_key {tls}/privkey.pem;"
    listen = f"listen PORT80 {flags}; listen [::]:PORT80 {flags};"
    http = server(listen, "a.example", f"{pair} include SNIPPETS/challenge.conf;")
    async with comparing(folder, ports, filled(http, folder, ports)) as compared:
        if flags != "http2":
            await compared.agree(NAME)
        else:  # nginx before 1.25.1 does not answer HTTP/1.1 there
            answer = await compared.ask(NAME)
            assert (answer.cause is None) is (nginx_version() >= (1, 25, 1))
            (explained,) = await compared.explain(NAME, answer)
            assert answer.cause is None or "answers only HTTP/2 with nginx before 1.25.1" in (explained.cause or "")


async def test_prediction_for_the_name_of_this_host_is_what_nginx_answers(folder: Path, ports: Ports) -> None:
    closed = server("listen PORT80 default_server; listen [::]:PORT80;", "_", "return 403;")
    own = server("listen PORT80;", "other.example $hostname", "include SNIPPETS/challenge.conf;")
    async with comparing(folder, ports, filled(closed + own, folder, ports)) as compared:
        found = await compared.agree(dns(socket.gethostname().lower()))
        assert found.is_good
        await compared.agree(NAME)


async def test_pattern_that_python_does_not_know_is_not_predicted(folder: Path, ports: Ports) -> None:
    closed = server("listen PORT80 default_server; listen [::]:PORT80;", "_", "return 403;")
    own = server("listen PORT80;", '"~^(?|a|b)\\.example$"', "include SNIPPETS/challenge.conf;")
    async with comparing(folder, ports, filled(closed + own, folder, ports)) as compared:
        assert (await compared.ask(NAME)).cause is None
        route = compared._router.route(NAME, HOSTS[4])  # noqa: SLF001
        assert route.outcome is Outcome.UNKNOWN


async def test_prediction_for_a_range_of_ports_is_what_nginx_answers(folder: Path, ports: Ports) -> None:
    listen = f"listen {ports.http - 1}-{ports.http}; listen [::]:{ports.http - 1}-{ports.http};"
    text = server(listen, "a.example", "include SNIPPETS/challenge.conf;")
    async with comparing(folder, ports, filled(text, folder, ports)) as compared:
        for family in HOSTS:
            assert (await compared.agree(NAME, family)).is_good
