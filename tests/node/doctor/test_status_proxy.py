"""nginx in front of the status endpoint: who gets an answer, and what its workers may do."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from stand.nginx import SNIPPETS
from tests.node.doctor.dumps import FILE, configured
from tests.node.doctor.test_nginx_user import GROUP, USER, control, listening, master_of_another_user
from tests.node.nginx.masters import ACCEPTING, fake_master
from tests.unprivileged import UNPRIVILEGED_ID, shared_folder
from wellkeeper_client import services
from wellkeeper_node.doctor.status_proxy import PROXY, REACH, check_proxy
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.nginx.configuration import Configuration
from wellkeeper_node.nginx.control import Control

SOCKET: Final = "unix:/run/wellkeeper-issuer/status.sock"
TCP: Final = "127.0.0.1:9908"
NOWHERE: Final = Control(("nginx",), Path("/none/nginx.pid"))
PASS: Final = f"proxy_pass http://{SOCKET}:/;"
ASKS: Final = "auth_basic a; auth_basic_user_file /etc/nginx/p;"
OPEN: Final = "anyone can read the names and states of all certificates: this location asks for no password"


@pytest.fixture
def shared() -> Iterator[Path]:
    with shared_folder() as folder:
        yield folder


def server(*lines: str, listen: str = "443 ssl") -> Configuration:
    return configured("server {", f"listen {listen};", *lines, "}")


async def proxy(configuration: Configuration, address: str = SOCKET) -> list[Finding]:
    """Return the findings about the locations, from a host without nginx."""
    found = await check_proxy(configuration, NOWHERE, address, None)
    assert found[-1].check == REACH
    return [one for one in found if one.check == PROXY]


async def test_our_snippet_asks_for_a_password() -> None:
    (found,) = await proxy(server((SNIPPETS / "status.conf").read_text()))
    assert (found.verdict, found.cause[-19:]) == (Verdict.OK, "asks for a password")


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        pytest.param(f"location /w/ {{ {PASS} }}", Verdict.FAIL, id="nothing"),
        pytest.param(f"if_modified_since off; location /w/ {{ {PASS} }}", Verdict.FAIL, id="nothing that refuses"),
        pytest.param(f"location /w/ {{ {ASKS} {PASS} }}", Verdict.OK, id="a password"),
        pytest.param(f"{ASKS} location /w/ {{ {PASS} }}", Verdict.OK, id="that of the server"),
        pytest.param(f"{ASKS} location /w/ {{ auth_basic off; {PASS} }}", Verdict.FAIL, id="switched off"),
        pytest.param(f"location /w/ {{ auth_basic a; {PASS} }}", Verdict.FAIL, id="a password without a file"),
        pytest.param(f"auth_request /ask; location /w/ {{ {PASS} }}", Verdict.OK, id="another server decides"),
        pytest.param(f"location /w/ {{ allow 10.0.0.1; deny all; {PASS} }}", Verdict.OK, id="chosen clients"),
        pytest.param(f"location /w/ {{ deny 10.0.0.1; {PASS} }}", Verdict.FAIL, id="all but one"),
        pytest.param(f"location /w/ {{ allow all; deny all; {PASS} }}", Verdict.FAIL, id="all allowed first"),
        pytest.param(f"location /w/ {{ allow 0.0.0.0/0; deny all; {PASS} }}", Verdict.FAIL, id="all of IPv4 allowed"),
        pytest.param(f"deny all; location /w/ {{ allow all; {PASS} }}", Verdict.FAIL, id="denied outside only"),
        pytest.param(f"satisfy any; location /w/ {{ {ASKS} deny 10.0.0.1; {PASS} }}", Verdict.OK, id="any, one denied"),
        pytest.param(
            f"satisfy any; location /w/ {{ {ASKS} allow 10.0.0.1; {PASS} }}", Verdict.OK, id="any, one allowed"
        ),
        pytest.param(f"satisfy any; location /w/ {{ {ASKS} allow all; {PASS} }}", Verdict.FAIL, id="any, all allowed"),
        pytest.param(f"satisfy any; deny all; location /w/ {{ {ASKS} {PASS} }}", Verdict.OK, id="any, all denied"),
        pytest.param(f"ssl_verify_client on; location /w/ {{ {PASS} }}", Verdict.OK, id="client certificates"),
        pytest.param(f"location /a/ {{ {ASKS} location /a/w/ {{ {PASS} }} }}", Verdict.OK, id="nested"),
        pytest.param(f"location /w/ {{ if ($stranger) {{ return 403; }} {PASS} }}", Verdict.WARN, id="an if"),
        pytest.param(f"location /w/ {{ internal; {PASS} }}", Verdict.WARN, id="internal"),
        pytest.param("location /w/ { proxy_pass http://app; }", Verdict.WARN, id="not included"),
    ],
)
async def test_location_needs_what_keeps_strangers_out(lines: str, verdict: Verdict) -> None:
    (found,) = await proxy(server(lines))
    assert found.verdict is verdict, found
    if verdict is Verdict.FAIL:
        assert (found.cause, found.place[: len(FILE)]) == (OPEN, FILE)


@pytest.mark.parametrize(
    ("listen", "verdict"),
    [
        ("127.0.0.1:443 ssl", Verdict.OK),
        ("unix:/run/status.sock ssl", Verdict.OK),
        ("[::1]:443 ssl", Verdict.OK),
        ("127.0.0.1:443 ssl proxy_protocol", Verdict.WARN),
        ("unix:/run/web.sock ssl proxy_protocol", Verdict.FAIL),
        ("10.0.0.1:443 ssl", Verdict.WARN),
        ("10.0.0.1:443 ssl; listen 443 ssl", Verdict.FAIL),
        ("www.example.org:443 ssl", Verdict.FAIL),
        ("0.0.0.0:443 ssl", Verdict.FAIL),
    ],
)
async def test_location_without_a_password_is_judged_by_who_can_reach_it(listen: str, verdict: Verdict) -> None:
    (found,) = await proxy(server(f"location /w/ {{ {PASS} }}", listen=listen))
    assert found.verdict is verdict, found


async def test_password_over_plain_http_is_a_warning() -> None:
    lines = f"location /w/ {{ {ASKS} {PASS} }}"
    for listen, verdict in (("80", Verdict.WARN), ("443 ssl", Verdict.OK), ("127.0.0.1:80", Verdict.OK)):
        (found,) = await proxy(server(lines, listen=listen))
        assert found.verdict is verdict


@pytest.mark.parametrize(
    ("listen", "lines"), [("127.0.0.1:80", ""), ("80", "allow 10.0.0.1; deny all;"), ("443 ssl", "deny all;")]
)
async def test_location_that_asks_for_no_password_is_not_said_to(listen: str, lines: str) -> None:
    (found,) = await proxy(server(f"location /w/ {{ {lines} {PASS} }}", listen=listen))
    assert (found.verdict, found.cause) == (Verdict.OK, f"{FILE}:4 answers only some clients")


@pytest.mark.parametrize(
    ("target", "address", "is_there"),
    [
        (f"http://{TCP}", TCP, True),
        ("http://localhost:9908/", TCP, True),
        ("http://127.0.0.1:9908$request_uri", TCP, True),
        ("http://wellkeeper$request_uri", TCP, True),
        ("http://127.0.0.1:9908?$args", TCP, True),
        ("http://127.0.0.1:9908", "0.0.0.0:9908", True),
        ("http://10.0.0.1:9908", "10.0.0.1:9908", True),
        ("http://[::1]:9908", "[::1]:9908", True),
        ("http://127.0.0.1:9909", TCP, False),
        ("http://10.0.0.1:9908", TCP, False),
        ("http://127.0.0.1", TCP, False),
        ("http://127.0.0.1:$port", TCP, False),
        ("http://wellkeeper/", TCP, True),
        ("http://wellkeeper", SOCKET, True),
        ("http://unix:/other.sock", SOCKET, False),
    ],
)
async def test_every_way_to_name_the_endpoint_is_known(target: str, address: str, is_there: bool) -> None:
    upstream = f"upstream wellkeeper {{ server {TCP}; server {SOCKET}; }}"
    found = await proxy(configured(upstream, f"server {{ location / {{ proxy_pass {target}; }} }}"), address)
    assert ([one.verdict for one in found] == [Verdict.FAIL]) is is_there


async def test_tcp_address_needs_no_location() -> None:
    (found,) = await proxy(server(), TCP)
    assert (found.verdict, found.cause) == (Verdict.OK, f"no location of nginx leads to {TCP}")


def included(folder: Path) -> Configuration:
    given = f"auth_basic a; auth_basic_user_file {folder}/passwords; proxy_pass http://unix:{folder}/s:/;"
    return server(f"location /w/ {{ {given} }}")


async def reach(folder: Path, found_control: Control, group: str | None = None) -> list[Finding]:
    found = await check_proxy(included(folder), found_control, f"unix:{folder}/s", group)
    return [one for one in found if one.check == REACH]


@pytest.mark.root
async def test_workers_may_use_socket_and_passwords(shared: Path) -> None:
    (shared / "passwords").touch()
    async with master_of_another_user(shared) as master:
        with listening(shared / "s"):
            os.chown(shared / "s", -1, UNPRIVILEGED_ID)
            (shared / "s").chmod(0o660)
            found = await reach(shared, control(master))
    assert [(one.verdict, one.cause) for one in found] == [
        (Verdict.OK, f"nginx's workers ({USER}) can connect to unix:{shared}/s")
    ]


@pytest.mark.root
async def test_what_keeps_the_workers_out_is_named_with_the_setting(shared: Path) -> None:
    (shared / "passwords").touch(mode=0o600)
    async with master_of_another_user(shared) as master:
        with listening(shared / "s"):
            (shared / "s").chmod(0o600)
            passwords, socket = await reach(shared, control(master))
            assert (await reach(shared, control(master), GROUP))[1].fix == "Run 'wellkeeper reload'."
            os.chmod(shared, 0o700)  # noqa: PTH101 - in a coroutine
            fixes = [one.fix for one in await reach(shared, control(master))]
    assert passwords.cause.startswith(f"nginx refuses every password: its workers ({USER}) cannot read {shared}/pass")
    assert passwords.fix == f"Run 'chgrp {GROUP} {shared}/passwords' and 'chmod 640 {shared}/passwords'."
    assert socket.cause == f"nginx's workers ({USER}) cannot connect to unix:{shared}/s: Permission denied"
    assert socket.fix == f"Set group = '{GROUP}' under [web], then run 'wellkeeper reload'."
    assert fixes[1] == f"Run 'chmod o+x {shared}': {USER} may not enter it."


async def test_missing_file_and_socket_are_failures(folder: Path) -> None:
    async with fake_master(folder) as master:
        await master.start_worker(ACCEPTING)
        passwords, socket = await reach(folder, control(master))
    assert (passwords.verdict, passwords.fix) == (Verdict.FAIL, f"Run 'htpasswd -cB {folder}/passwords NAME'.")
    assert socket.cause.endswith(": No such file or directory")
    assert socket.fix == services.sentence("restart", "wellkeeper")


async def test_workers_that_cannot_be_seen_are_not_judged(folder: Path) -> None:
    away = Control(("nginx",), Path("/none/nginx.pid"), agent=folder)
    for one in (NOWHERE, away):
        assert [found.verdict for found in await reach(folder, one)] == [Verdict.SKIPPED]
