"""Four mistakes of new users: rehearsals and renewals say what is wrong, with the place and the line to change."""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from stand.host import Host, running_host
from stand.issuer import Issuer
from stand.nginx import SNIPPETS
from stand.processes import PROGRAMS
from tests.integration.observed import error_of, outcomes, reload
from wellkeeper_client import services

pytestmark = pytest.mark.integration

NAME: Final = "www.example.org"
INCLUDE: Final = f"include {SNIPPETS}/challenge.conf;"
DOT_FILES: Final = r"location ~ /\. { deny all; }"
REDIRECT: Final = "return 301 https://$host$request_uri;"


@pytest.fixture
async def host(folder: Path) -> AsyncIterator[Host]:
    async with running_host(folder, {"web": [NAME]}) as running:
        yield running


def replace_in_block(host: Host, number: int, old: str, new: str) -> None:
    """Edit a server block of nginx.conf: the first one is that on port 80, the second that on port 443."""
    path = host.nginx.config_path
    start, *blocks = path.read_text().split("    server {")
    assert old in blocks[number]
    blocks[number] = blocks[number].replace(old, new)
    path.write_text("    server {".join([start, *blocks]))


def line_of(host: Host, text: str) -> str:
    """Return the place of the first line with the text, as FILE:LINE."""
    lines = host.nginx.config_path.read_text().splitlines()
    number = next(number for number, line in enumerate(lines, 1) if text in line)
    return f"{host.nginx.config_path}:{number}"


async def reports(host: Host, issuer: Issuer | None = None) -> list[str]:
    """Return what doctor, a rehearsal, a renewal that waits, and a forced renewal report."""
    issuer = issuer or host.issuer
    environment = {"WELLKEEPER_OFFLINE": "0", "WELLKEEPER_DNS_SERVER": host.dns.address}
    examined = await issuer.run("doctor", "--json", environment=environment)
    assert examined.exit_code == 1, examined
    failing = [one for one in examined.json()["findings"] if one["verdict"] == "fail"]
    rehearsed = await issuer.run("rehearse")
    assert rehearsed.exit_code == 1, rehearsed
    waiting = await issuer.run("renew", "--json")
    assert (waiting.exit_code, outcomes(waiting)) == (1, {"web": "waiting"}), waiting
    forced = await issuer.run("renew", "--force", "--json")
    assert (forced.exit_code, outcomes(forced)) == (1, {"web": "failed"}), forced
    findings = "\n".join(f"{one['cause']}. {one['fix']}" for one in failing)
    return [findings, rehearsed.out, waiting.json()["certificates"][0]["reason"], error_of(forced, "web")]


async def test_forgotten_snippet_beside_a_rule_against_dot_files(host: Host) -> None:
    replace_in_block(host, 0, INCLUDE, DOT_FILES)
    await reload(host.nginx)
    for report in await reports(host):
        assert "does not include challenge.conf: 'location ~ /\\.' at " in report
        assert f"at {line_of(host, DOT_FILES)} answers 403" in report
        assert f"Add '{INCLUDE}' after {line_of(host, 'server_name _;')}, then reload nginx." in report


async def test_return_in_the_server_block_beside_the_snippet(host: Host) -> None:
    replace_in_block(host, 0, INCLUDE, f"{INCLUDE}\n{REDIRECT}")
    replace_in_block(host, 1, INCLUDE, DOT_FILES)
    await reload(host.nginx)
    place = line_of(host, REDIRECT)
    for report in await reports(host):
        assert f"http://{NAME}/… answers 301 to https://{NAME}/… ('{REDIRECT[:-1]}' at {place}), where " in report
        assert f"does not include challenge.conf: 'location ~ /\\.' at {line_of(host, DOT_FILES)}" in report
        assert f"Move '{REDIRECT[:-1]}' at {place} into 'location / {{ … }}', then reload nginx." in report


async def test_forgotten_upstream(host: Host) -> None:
    """nginx refuses the configuration, and runs the one from before, without the snippet."""
    with_snippet = host.nginx.config_path.read_text()
    replace_in_block(host, 0, INCLUDE, "")
    await reload(host.nginx)
    host.nginx.config_path.write_text(with_snippet.replace("upstream wellkeeper_responder", "upstream other"))
    for report in await reports(host):
        assert 'host not found in upstream "wellkeeper_responder" in' in report
        assert f"Add 'include {SNIPPETS}/upstream.conf;' to nginx's http block, then reload nginx" in report


async def test_snippet_without_a_reload(host: Host) -> None:
    with_snippet = host.nginx.config_path.read_text()
    replace_in_block(host, 0, INCLUDE, "")
    await reload(host.nginx)
    host.nginx.config_path.write_text(with_snippet)
    for report in (await reports(host))[1:]:
        assert "nginx runs a different configuration from the one on disk" in report
        assert services.clause("reload", "nginx").lower() in report.lower()


@pytest.fixture
def ipv6_address() -> Iterator[str]:
    """Yield an address of this machine that is not ::1, one for documentation: nothing leaves the machine."""
    address = f"2001:db8::{os.getpid() % 9999 + 1}"
    command = ["ip", "-6", "address", "add", f"{address}/128", "dev", "lo"]
    subprocess.run(command, check=True)
    try:
        yield address
    finally:
        subprocess.run([*command[:3], "del", *command[4:]], check=True)


def with_hosts(folder: Path, *lines: str) -> Issuer:
    """Return the same issuer with another /etc/hosts, in mounts of its own."""
    hosts, programs = folder / "hosts", folder / "programs"
    hosts.write_text("".join(f"{line}\n" for line in ("127.0.0.1 localhost", *lines)))
    programs.mkdir()
    script = programs / "wellkeeper"
    script.write_text(
        f'#!/bin/sh\nexec unshare --mount sh -c \'mount --bind {hosts} /etc/hosts && exec "$0" "$@"\''
        f' {PROGRAMS}/wellkeeper "$@"\n'
    )
    script.chmod(0o755)
    return Issuer(folder, programs)


@pytest.mark.root
async def test_listen_on_ipv6_forgotten_in_the_block_but_not_in_the_default_server(
    host: Host, folder: Path, ipv6_address: str
) -> None:
    default = f"server {{ listen [::]:{host.http[1]} default_server; server_name _; root /nonexistent; }}"
    text = host.nginx.config_path.read_text().replace("server_name _;", f"server_name {NAME};")
    host.nginx.config_path.write_text(text.replace("    server {", f"    {default}\n    server {{", 1))
    await reload(host.nginx)
    await host.dns.set_ipv6_addresses(NAME, ipv6_address)
    issuer = with_hosts(folder, f"{host.http[0]} {NAME}", f"{ipv6_address} {NAME}")
    listen = f"listen {host.http[0]}:{host.http[1]}"
    examined, *others = await reports(host, issuer)
    for report in others:
        assert f"[{ipv6_address}]:{host.http[1]}" in report
        assert f"({NAME} has the addresses {ipv6_address}, {host.http[0]})" in report
    for report in (examined, *others):
        assert f"the server block for {NAME} at " in report
        assert f"does not listen there: the default server at {line_of(host, default)} answers 404" in report
        assert f"Add 'listen [::]:{host.http[1]};' after {line_of(host, listen)}, then reload nginx." in report
