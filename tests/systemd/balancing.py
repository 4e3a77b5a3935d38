"""The steps of docs/load-balancers.md, with the fleet of docs/several-nodes.md."""

from typing import Final

from tests.systemd.fleet import Fleet, join, leave, renew, until_complete, until_serves, use_site
from tests.systemd.pages import Page, configuration
from tests.systemd.server import NAME, SETTINGS

NODES: Final = "docs/several-nodes.md"
BALANCERS: Final = "docs/load-balancers.md"


async def balance(fleet: Fleet, page: Page) -> None:
    """Renew through a balancer that speaks the PROXY protocol, then serve as one that ends TLS."""
    web1, nodes = fleet["web1"], [fleet["web2"], fleet["web3"]]
    plain = configuration(NODES, "nginx", f"server_name {NAME};")
    settings = await web1.machine.run_well("cat", SETTINGS)
    node_settings = configuration(BALANCERS, "toml", "# above the first table")
    reload_node, reload_issuer = page.next("reload wellkeeper-node"), page.next("wellkeeper reload")
    async with fleet.balancer(configuration(BALANCERS, "nginx", "stream {")):
        for one in fleet.servers.values():
            await use_site(one, configuration(BALANCERS, "nginx", "listen 80 proxy_protocol;"))
        for one in nodes:
            text = await one.machine.run_well("cat", "/etc/wellkeeper/node.toml")
            await one.machine.write("/etc/wellkeeper/node.toml", node_settings + text)
            await one.machine.shell(reload_node)
        await web1.machine.write(SETTINGS, settings + configuration(BALANCERS, "toml", "[[nodes]]"))
        await web1.machine.shell(reload_issuer)
        await fleet.dns.set_addresses(NAME, fleet.balanced.address)
        await web1.machine.run_well("wellkeeper", "renew", NAME, "--force")
        serial = await fleet.balanced.until_served()
        for one in nodes:
            await one.machine.shell("sed -i '/^proxy_protocol/d' /etc/wellkeeper/node.toml")
            await use_site(one, plain)
            await one.machine.shell(reload_node)
    await use_site(web1, configuration(BALANCERS, "nginx", "upstream application"))
    await web1.machine.write(SETTINGS, settings)
    await web1.machine.shell(reload_issuer)
    await fleet.dns.set_addresses(NAME, web1.address)
    for one in fleet.servers.values():
        await until_serves(one, serial)


async def return_after_weeks(fleet: Fleet, page: Page) -> None:
    """Switch a standby off during a renewal, and let it answer in the end."""
    web1, web3 = fleet["web1"], fleet["web3"]
    await join(web3, await web1.machine.shell(page.next("--no-answers")))
    await until_serves(web3, await web1.until_served())
    await web3.machine.shut_down()
    serial = await renew(web1)
    await web3.machine.boot()
    await until_serves(web3, serial)
    await until_complete(web3)
    assert f"{NAME}: served" in await web3.machine.shell(page.next("wellkeeper-node status"))
    line = (await web3.machine.run_well("wellkeeper-node", "init")).strip()
    await web1.machine.shell(f"LINE={line}; {page.next('node add standby')}")
    await web3.machine.shell(page.next("answers = true"))
    await until_serves(web3, await renew(web1))
    await leave(fleet, web3, "standby")
