"""docs/several-nodes.md and load-balancers.md on booted machines: every block of commands and configuration as it is.

Only the CA differs, whose root certificate the machines trust.
"""

import asyncio
import json
import re
from pathlib import Path
from typing import Final

import pytest

from stand.machine import Machine
from tests.systemd.balancing import BALANCERS, NODES, balance, return_after_weeks
from tests.systemd.conftest import CACHE
from tests.systemd.fleet import Fleet, invite_in, join, leave, renew, running_fleet, until_complete, until_serves
from tests.systemd.pages import Page, commands, configuration, replaced
from tests.systemd.server import DAEMON, LIVE, NAME, RESPONDER, SITE, Server

pytestmark = [pytest.mark.integration, pytest.mark.booted, pytest.mark.timeout(600)]

AGENT: Final = "wellkeeper-node.service"
TITLES: Final = ["NODE", "SEEN", "FOLLOWS", "ANSWERS", "CLOCK", "CERTIFICATES", "EXPIRES", "BEHIND"]
RELAY_NAME: Final = "relay.example.org"
DEPLOY: Final = '#!/bin/sh\ninstall -m 600 "$WELLKEEPER_LIVE/privkey.pem" "/etc/ssl/$WELLKEEPER_CERTIFICATE.pem"\n'
# Both tests need several machines, so each has one of the releases.
on_debian_12 = pytest.mark.parametrize("release", ["bookworm"], indirect=True)
on_debian_13 = pytest.mark.parametrize("release", ["trixie"], indirect=True)


async def bring(machine: Machine, package: Path) -> None:
    await machine.write_bytes(f"/root/{package.name}", await asyncio.to_thread(package.read_bytes))


async def in_root(machine: Machine, script: str) -> str:
    return await machine.shell(f"cd /root; {script}")


@on_debian_13
async def test_commands_of_the_page_on_several_nodes_work(
    folder: Path, release: str, installed: Path, package: Path
) -> None:
    async with running_fleet(folder, (installed, CACHE / f"machine-{release}"), "web1", "web2", "web3") as fleet:
        page, web1 = Page(NODES), fleet["web1"]
        await web1.set_up()
        await web1.start_daemon()
        await web1.machine.shell(page.next("fleet listen 10.0.0.1:8404"))
        await join_two_nodes(fleet, page, package)
        await renew_on_all(fleet, page)
        balancers = Page(BALANCERS)
        await balance(fleet, balancers)
        await use_more_commands(fleet, page)
        await remove_nodes(fleet, page)
        await use_a_reusable_invite(fleet, page)
        for _ in range(5):
            page.next("")  # of the other test
        await use_other_addresses(fleet, page)
        await return_after_weeks(fleet, balancers)
        await use_tls(fleet, page)
        page.end()
        balancers.end()


async def join_two_nodes(fleet: Fleet, page: Page, package: Path) -> None:
    web1, web2, web3 = (fleet[name].machine for name in ("web1", "web2", "web3"))
    for machine in (web2, web3):
        await bring(machine, package)
        await machine.write(SITE, configuration(NODES, "nginx", f"server_name {NAME};"))
        await machine.shell("! nginx -t")  # it has no certificate
    invite = invite_in(await web1.shell(page.next("node invite web2")))
    install, join = page.next("apt install").splitlines()
    await in_root(web2, install)
    screen = await web2.terminal(join, f"{invite}\n", typed_at="printed it: ")
    assert "joined as web2" in screen
    assert invite not in screen
    for unit in (RESPONDER, AGENT):
        assert f"started {unit}" in screen
        assert await fleet["web2"].show(unit, "UnitFileState") == "enabled"
    await web2.shell(page.next("nginx -t"))

    await in_root(web1, page.next("node invite web3"))
    await web3.write("/root/invite", await web1.run_well("cat", "/root/invite"))
    await in_root(web3, page.next("join <invite"))
    for name in ("web2", "web3"):
        await until_complete(fleet[name])
    shown = await web1.shell(page.next("status --nodes"))
    assert shown.splitlines()[0].split() == TITLES
    assert [line.split()[0] for line in shown.splitlines()[1:]] == ["web2", "web3"]
    assert f"{NAME}: served" in await web2.shell(page.next("wellkeeper-node status"))
    assert "node 'web2' has joined" in await web1.run_well("journalctl", "--no-pager", "--unit", DAEMON)
    log = await web2.run_well("journalctl", "--no-pager", "--unit", AGENT)
    assert "following the relay 10.0.0.1:8404" in log
    assert f"{NAME}: reload done" in log


async def renew_on_all(fleet: Fleet, page: Page) -> None:
    """Renew with all nodes, and once without one whose responder is off, while systemd starts a killed agent again."""
    web1, web2, web3 = (fleet[name] for name in ("web1", "web2", "web3"))
    await fleet.dns.set_addresses(NAME, *(one.address for one in fleet.servers.values()))
    serial = await renew(web1)
    for one in fleet.servers.values():
        await until_serves(one, serial)

    await web3.machine.run_well("systemctl", "stop", "wellkeeper-responder")
    await web2.machine.run_well("systemctl", "kill", "--signal", "KILL", AGENT)
    refused = await web1.machine.run("wellkeeper", "renew", NAME, "--force")
    if refused.exit_code == 0:  # Pebble reused the authorization, as it does one time in a hundred
        refused = await web1.machine.run("wellkeeper", "renew", NAME, "--force")
    assert (refused.exit_code, "node 'web3'" in refused.out) == (1, True), refused
    await web2.until(f"systemctl is-active {AGENT}")
    assert await web2.show(AGENT, "NRestarts") == "1"
    await fleet.dns.set_addresses(NAME, web1.address, web2.address)
    await web1.machine.shell(page.next("--without web3"))
    await web3.machine.run_well("systemctl", "start", "wellkeeper-responder")
    await until_serves(web3, await web1.until_served(other_than=serial))


async def use_more_commands(fleet: Fleet, page: Page) -> None:
    """Restrict nodes, change the settings of one, and renew."""
    web1, web2 = fleet["web1"], fleet["web2"]
    listed = await web1.machine.shell(page.next("--certificates"))
    assert "mail  invited until" in listed
    group_and_hook = configuration(NODES, "toml", "[hooks]")
    await web2.machine.write("/etc/wellkeeper/deploy", DEPLOY)
    await web2.machine.shell("chmod 755 /etc/wellkeeper/deploy; getent group ssl-cert || groupadd --system ssl-cert")
    await web2.machine.run_well("tee", "--append", "/etc/wellkeeper/node.toml", stdin=group_and_hook.encode())
    assert "settings and trust file read again" in await web2.machine.shell(page.next("journalctl"))
    await until_serves(web2, await renew(web1))
    await web2.until(f"cmp /etc/ssl/{NAME}.pem {LIVE}/privkey.pem")
    assert await web2.machine.run_well("stat", "-Lc", "%G", f"{LIVE}/privkey.pem") == "ssl-cert\n"


async def remove_nodes(fleet: Fleet, page: Page) -> None:
    web1, web2, web3 = (fleet[name] for name in ("web1", "web2", "web3"))
    await fleet.dns.set_addresses(NAME, web1.address)
    await web2.machine.run_well("systemctl", "restart", AGENT)
    # As in "State 'stop-sigterm' timed out. Killing."
    assert "stop-sigterm" not in await web2.machine.run_well("journalctl", "--no-pager", "--unit", AGENT)
    await web3.machine.terminal(page.next("wellkeeper-node leave"), "y\n")
    assert not await web3.is_active(AGENT)
    await web1.machine.terminal(page.next("node remove web3"), "y\n")
    serial = await web1.until_served()
    screen = await web1.machine.terminal(page.next("--compromised"), "y\n")
    assert f"Needs 1 new certificate: {NAME}" in screen
    assert f"revoked the previous versions of {NAME}" in screen
    assert await web1.served() != serial
    assert await web2.served() == serial


async def use_a_reusable_invite(fleet: Fleet, page: Page) -> None:
    """Let web3 join as an instance of a group does at its first boot."""
    web1, web3 = fleet["web1"].machine, fleet["web3"].machine
    invite = invite_in(await web1.shell(page.next("--uses 50")))
    await web3.write("/run/wellkeeper-invite", f"{invite}\n")
    await web3.shell(page.next("</run/wellkeeper-invite"))
    await until_complete(fleet["web3"])
    host = (await web3.run_well("hostname")).strip()
    listed = await web1.shell(page.next("node invites"))
    (row,) = [line.split() for line in listed.splitlines() if "49 of 50" in line]
    assert re.fullmatch(rf"{re.escape(host)}-[a-z2-7]{{6}}", row[-1]), listed
    await web1.shell(f"ID={row[0]}; {page.next('--revoke')}")
    assert "revoked" in await web1.run_well("wellkeeper", "node", "invites")
    await leave(fleet, fleet["web3"], row[-1])


async def use_other_addresses(fleet: Fleet, page: Page) -> None:
    web1, web3 = fleet["web1"], fleet["web3"]
    await web1.machine.run_well("ip", "address", "add", "10.1.0.1/24", "dev", "lo")
    await web3.machine.run_well("ip", "route", "add", "10.1.0.0/24", "via", web1.address)
    listen, invite = page.next("10.1.0.1:8404").splitlines()
    await web1.machine.shell(listen)
    await join(web3, await web1.machine.shell(invite))
    await until_complete(web3)
    status = json.loads(await web3.machine.run_well("wellkeeper-node", "status", "--json"))
    assert sorted(status["relays"]) == ["10.0.0.1:8404", "10.1.0.1:8404"]
    await leave(fleet, web3, "web6")


async def use_tls(fleet: Fleet, page: Page) -> None:
    """Let web3 join through nginx; it trusts the CA that issued the certificate of the relay."""
    web1, web3 = fleet["web1"], fleet["web3"]
    await web1.machine.shell(page.next("fleet listen 127.0.0.1:8404"))
    await web1.machine.write("/etc/nginx/sites-enabled/relay", configuration(NODES, "nginx", RELAY_NAME))
    test, renewal, invite = page.next(f"wellkeeper renew {RELAY_NAME}").splitlines()
    await web1.machine.shell(test)
    await web1.until(renewal)  # the daemon may have looked before nginx was reloaded
    assert await web1.served(RELAY_NAME) is not None
    offered = await web1.machine.shell(invite)
    await web3.machine.write("/usr/local/share/ca-certificates/test.crt", (await web1.issuing_root()).decode())
    await web3.machine.shell(f"update-ca-certificates; echo '{web1.address} {RELAY_NAME}' >>/etc/hosts")
    await join(web3, offered)
    await until_complete(web3)
    status = json.loads(await web3.machine.run_well("wellkeeper-node", "status", "--json"))
    assert status["relays"] == {f"https://{RELAY_NAME}": None}


@on_debian_12
async def test_issuer_without_nginx_and_a_node_of_configuration_management(
    folder: Path, release: str, installed: Path
) -> None:
    async with running_fleet(folder, (installed, CACHE / f"machine-{release}"), "issuer", "web5") as fleet:
        issuer, web5 = fleet["issuer"], fleet["web5"]
        await fleet.dns.set_default_address(web5.address)
        await issuer.machine.shell("apt-get purge --yes nginx nginx-common; ! command -v nginx")
        await issuer.trust_ca()
        documented = replaced(commands(NODES, "local_node"), "--agree-to-terms-of-service", issuer.ca_options)
        await issuer.machine.shell(documented)
        line = (await web5.machine.shell(commands(NODES, "wellkeeper-node init"))).strip()
        await issuer.machine.shell(f"LINE={line}; {commands(NODES, 'node add web5')}")
        await set_up_node(issuer, web5)
        await issuer.machine.shell(commands(NODES, "sudo systemctl enable --now wellkeeper\n"))
        await web5.until(f"wellkeeper-node status | grep --quiet '^{NAME}: installed'")
        await web5.machine.write(SITE, configuration(NODES, "nginx", f"server_name {NAME};"))
        await web5.machine.shell("nginx -t && systemctl reload nginx")
        serial = await web5.until_served()
        await issuer.machine.run_well("wellkeeper", "renew", NAME, "--force")
        await web5.until_served(other_than=serial)


async def set_up_node(issuer: Server, node: Server) -> None:
    """Do what configuration management does on the node: files, units, and nginx's block for port 80."""
    trust = await issuer.machine.run_well("cat", "/etc/wellkeeper/trust.toml")
    await node.machine.write("/etc/wellkeeper/trust.toml", trust)
    await node.machine.write("/etc/wellkeeper/node.toml", configuration(NODES, "toml", 'name = "web5"'))
    plain, _, _ = configuration(NODES, "nginx", f"server_name {NAME};").partition("server {\n    listen 443")
    await node.machine.write(SITE, plain)
    await node.machine.shell("nginx -t && systemctl reload nginx")
    await node.machine.shell(commands(NODES, "wellkeeper-responder wellkeeper-node"))
