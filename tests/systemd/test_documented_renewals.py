"""docs/renewals.md on one booted machine: every block of commands as it is written, in the order of the page.

Only the CAs differ: `letsencrypt` and `zerossl` are test servers, the second one with external accounts.
"""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from stand.challtestsrv import Challtestsrv
from stand.machine import Machine
from stand.pebble import Pebble, PebbleSettings
from stand.processes import PROJECT
from tests.systemd.pages import Page, replaced
from tests.systemd.server import CA_BUNDLE, NAME, RESPONDER, SETTINGS, SITE, Server, server_blocks

pytestmark = [pytest.mark.integration, pytest.mark.booted, pytest.mark.timeout(600)]

PAGE: Final = "docs/renewals.md"
HMAC_KEY: Final = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


@pytest.fixture
async def cas(folder: Path) -> AsyncIterator[tuple[Pebble, Pebble]]:
    """Yield two CAs that find every name at the machine; the second one knows its customers."""
    folders = folder / "letsencrypt", folder / "zerossl"
    for one in folders:
        one.mkdir()
    async with Challtestsrv(folder) as dns:
        customers = PebbleSettings(dns.address, 80, external_accounts={"kid-1": HMAC_KEY})
        async with (
            Pebble(folders[0], PebbleSettings(dns.address, 80)) as first,
            Pebble(folders[1], customers) as second,
        ):
            yield first, second


def settings(cas: tuple[Pebble, Pebble], documented: str) -> str:
    """Return settings with the documented choice of CAs; the last table of it is that of zerossl, if there is one."""
    choice, _, tables = documented.partition("\n")
    first, second = (json.dumps(one.directory_url) for one in cas)
    has_second = "zerossl" in tables
    return "\n".join(
        [
            choice,
            f"ca_bundle = {json.dumps(CA_BUNDLE)}",
            "terms_of_service_agreed = true",
            *([tables.rstrip(), f"directory = {second}"] if has_second else []),
            f'[[cas]]\nname = "letsencrypt"\ndirectory = {first}',
            f'[[certificates]]\nname = "{NAME}"\nidentifiers = ["{NAME}"]\n',
        ]
    )


async def test_commands_of_the_page_on_renewals_work(machine: Machine, cas: tuple[Pebble, Pebble]) -> None:
    page, server = Page(PAGE), Server(machine, cas[0])
    await machine.write(CA_BUNDLE, "".join(one.ca_bundle.read_text() for one in cas))
    await machine.write(SETTINGS, settings(cas, 'ca = "letsencrypt"\n'))
    await machine.shell(f"wellkeeper init && systemctl enable --now {RESPONDER} && wellkeeper placeholder")
    await machine.write(SITE, server_blocks(NAME))
    await machine.shell("nginx -t && systemctl reload nginx")

    await machine.shell(page.next("systemctl enable --now wellkeeper.service"))
    serial = await server.until_served()
    assert "served" in await machine.shell(page.next("wellkeeper why"))
    await machine.shell(page.next("wellkeeper renew --retry"))
    await server.until_served(other_than=serial)
    await use_another_ca(machine, page, cas)
    await replace_the_account_key(machine, page)

    add, remove = page.next("certificate add www.example.net,example.net").splitlines()
    assert "www.example.net: waiting" in await machine.shell(add)
    await machine.terminal(remove, "y\n")
    assert "www.example.net" not in await machine.run_well("wellkeeper", "list")
    await machine.shell(page.next("wellkeeper reload"))
    await machine.shell(page.next("wellkeeper rehearse"))
    assert "192.0.2.7: waiting" in await machine.shell(page.next("--profile shortlived"))
    await machine.run_well("wellkeeper", "renew", NAME, "--force")
    await uninstall(server, page)
    page.end()


async def use_another_ca(machine: Machine, page: Page, cas: tuple[Pebble, Pebble]) -> None:
    documented = re.search(r"```toml\n(ca = .*?)```", (PROJECT / PAGE).read_text(), re.DOTALL)
    assert documented is not None
    await machine.write("/etc/wellkeeper/zerossl.hmac", f"{HMAC_KEY}\n")
    await machine.shell("chmod 600 /etc/wellkeeper/zerossl.hmac")
    await machine.write(SETTINGS, settings(cas, documented[1]))
    shown = await machine.shell(page.next("account register --ca zerossl"))
    assert shown.count("valid") >= 1, shown
    accounts = json.loads(await machine.run_well("wellkeeper", "account", "show", "--json"))["cas"]
    assert [(one["ca"], one["status"]) for one in accounts] == [("letsencrypt", "valid"), ("zerossl", "valid")]


async def replace_the_account_key(machine: Machine, page: Page) -> None:
    """Run the commands one by one: the first one is expected to stop with an error."""
    first, *others = page.next("account rollover --ca letsencrypt").splitlines()
    stopped = await machine.run("sh", "-euc", first)
    assert stopped.exit_code == 1, stopped
    for line in others:
        await machine.shell(line)


async def uninstall(server: Server, page: Page) -> None:
    """Uninstall the package, whose command replaces the last two lines."""
    machine = server.machine
    await machine.shell(page.next("systemctl disable --now"))
    await machine.shell(f"rm {SITE} /etc/nginx/conf.d/wellkeeper.conf; nginx -t; systemctl reload nginx")
    deactivate, *_ = page.next("account deactivate").splitlines()
    for ca in ("letsencrypt", "zerossl"):
        await machine.terminal(replaced(deactivate, "deactivate", f"deactivate --ca {ca}"), "y\n")
    assert "`sudo apt purge wellkeeper` replaces the last two lines" in (PROJECT / PAGE).read_text()
    await machine.shell("sudo apt purge --yes wellkeeper")  # which answers apt's question
    assert await machine.shell("ls /etc/wellkeeper") == "zerossl.hmac\n"
    for path in ("/var/lib/wellkeeper/issuer", "/etc/nginx/snippets/wellkeeper", "/opt/wellkeeper"):
        await machine.shell(f"test ! -e {path}")
