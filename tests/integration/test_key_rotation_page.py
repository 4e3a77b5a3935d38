"""docs/key-rotation.md in a fleet: every block of commands as it is written, in the order of the page, and renewals."""

import shlex
from pathlib import Path

import pytest

from stand.daemon import IssuerDaemon
from tests.integration.test_key_rotation import NAME, NODES, copy_trust_file, listen, renew, until_trusted
from tests.integration.test_key_rotation import rotate as rotate_node
from tests.integration.whole_fleets import Fleet, running_fleet
from tests.systemd.pages import Page

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

_COPY = "for node in web2 web3; do ssh root@$node tee /etc/wellkeeper/trust.toml < /etc/wellkeeper/trust.toml"
_STATE_DIR = "/var/lib/wellkeeper/issuer/"
# The names and addresses of the stand; commands that ask a person.
_HERE = {"letsencrypt": "localhost", "remove web2": "remove web2 --yes"}


class Runbook:
    """The page, whose commands are run in the fleet: copying is a copy here, and the test restarts the relay."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._page = Page("docs/key-rotation.md")

    async def run(self, marker: str) -> None:
        """Run the next block, which contains a text."""
        for line in self._page.next(marker).splitlines():
            await self._run_line(line)

    def end(self) -> None:
        self._page.end()

    async def _run_line(self, line: str) -> None:
        if line.startswith(_COPY):
            await copy_trust_file(self._fleet, *NODES)
            return
        for theirs, ours in _HERE.items():
            line = line.replace(theirs, ours)
        sudo, program, *arguments = shlex.split(line)
        assert sudo == "sudo"
        if program == "rm":
            for path in arguments[1:]:
                (self._fleet.host.issuer.state_dir / path.removeprefix(_STATE_DIR)).unlink(missing_ok=True)
        elif program == "wellkeeper-node":
            assert arguments == ["rotate"]
            await rotate_node(self._fleet.nodes["web2"])
        elif arguments[:2] == ["fleet", "listen"]:
            await listen(self._fleet)
        else:
            await self._fleet.host.issuer.run_well(*arguments)


async def test_commands_of_the_page_on_rotation_work(folder: Path) -> None:
    async with running_fleet(folder, {"web": [NAME]}, NODES) as fleet, IssuerDaemon(fleet.host.issuer):
        page = Runbook(fleet)
        await renew(fleet)
        await page.run("key list")
        await replace_publishing_and_account_key(page, fleet)
        await replace_fleet_key(page, fleet)
        await page.run("wellkeeper-node rotate")
        await renew(fleet)
        await recover(page, fleet)
        page.end()


async def replace_publishing_and_account_key(page: Runbook, fleet: Fleet) -> None:
    for kind in ("publishing", "account"):
        await page.run(f"key prepare {kind}")
        await until_trusted(fleet.host.issuer, kind, "next")
        await page.run(f"key switch {kind}")
    await renew(fleet)


async def replace_fleet_key(page: Runbook, fleet: Fleet) -> None:
    await until_trusted(fleet.host.issuer, "fleet", "next")
    await page.run("key switch fleet")
    await until_trusted(fleet.host.issuer, "fleet", "current")
    await page.run("key retire fleet")
    await page.run("for node")
    await renew(fleet)
    await page.run("rm -f /var/lib/wellkeeper/issuer/fleet_key.pem")
    await renew(fleet)


async def recover(page: Runbook, fleet: Fleet) -> None:
    """Lose trust files, then a backup, then a node."""
    issuer = fleet.host.issuer
    for path in (issuer.trust_path, *(fleet.nodes[name].folder / "trust/trust.toml" for name in NODES)):
        path.unlink()
    await page.run("trust --write")
    await page.run("key switch fleet --force")
    await until_trusted(issuer, "fleet", "current")
    await page.run("key retire fleet")
    await renew(fleet)
    await page.run("account rollover --ca letsencrypt --abandon")
    for kind in ("publishing", "account"):
        await until_trusted(issuer, kind, "next")
    await page.run("key switch account")
    await renew(fleet)
    await page.run("revoke web --reason keyCompromise")
    await page.run("node remove web2 --compromised")
