"""From a relay to an engine and back, with real processes: nodes move by themselves, and either way is enough."""

import json
import tomllib
from pathlib import Path
from typing import Final

import pytest

from stand.daemon import IssuerDaemon
from stand.issuer import Issuer
from stand.key_value import KeyValueServer
from tests.integration.observed import installed, outcomes
from tests.integration.whole_fleets import Fleet, FleetNode, running_fleet
from tests.json_docs import assert_documented

pytestmark = pytest.mark.integration

NAME: Final = "www.example.org"
NODE: Final = "web2"


def use_drop_in(fleet: Fleet) -> None:
    """Move [fleet] to the file that `fleet listen` writes."""
    issuer, settings = fleet.host.issuer, fleet.host.issuer_settings
    folder = issuer.config_path.parent / "issuer.d"
    folder.mkdir(exist_ok=True)
    (folder / "fleet.toml").write_text(
        f'[fleet]\nlisten = ["{fleet.relay.address}"]\nrelay = "unix:{fleet.relay.issuer_socket}"\n'
    )
    issuer.configure(settings)


async def renew(fleet: Fleet) -> None:
    issuer = fleet.host.issuer
    finished = await issuer.run("renew", "--force", "--json")
    assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
    await fleet.nodes[NODE].until_served(NAME, installed(issuer, "web"))


async def until_moved(issuer: Issuer) -> None:
    """Wait until the node has reported to the engine; the time-out of the test is the limit."""
    verdict = ""
    while verdict != "ok":
        found = (await issuer.run("engine", "check", "--json")).json()
        assert_documented("engine check", found)
        (verdict,) = [one["verdict"] for one in found["findings"] if (one["check"], one["subject"]) == ("nodes", NODE)]


async def acl_file(issuer: Issuer, folder: Path) -> Path:
    """Return the ACL file that `engine acl` prints."""
    printed = (await issuer.run_well("engine", "acl", "--json")).json()
    assert_documented("engine acl", printed)
    path = folder / "users.acl"
    path.write_text("".join(f"{one['line']}\n" for one in printed["users"]) + "user default off\n")
    return path


async def until_it_follows_only_relays(node: FleetNode) -> None:
    while any(name.startswith("redis:") for name in followed(node)):
        pass


def followed(node: FleetNode) -> list[str]:
    return list(json.loads((node.agent.state_dir / "status.json").read_text())["relays"])


async def test_nodes_move_to_an_engine_and_back(folder: Path) -> None:
    async with running_fleet(folder, {"web": [NAME]}, [NODE]) as fleet:
        issuer = fleet.host.issuer
        use_drop_in(fleet)
        acl = await acl_file(issuer, folder)
        async with KeyValueServer("valkey", folder / "engine", "--aclfile", str(acl)) as server, IssuerDaemon(issuer):
            used = (await issuer.run_well("engine", "use", f"redis://127.0.0.1:{server.port}", "--json")).json()
            assert_documented("engine use", used)
            assert used["is_filled"]
            await until_moved(issuer)
            await fleet.relay.process.stop()
            await renew(fleet)  # by the engine alone
            await issuer.run_well("rehearse")
            await fleet.relay.process.start(fleet.relay.is_ready)
            await server.kill()
            await renew(fleet)  # by the relay alone
            await server.start_again()
            await until_moved(issuer)
            await issuer.run_well("engine", "use", "--none")
            table = tomllib.loads((issuer.config_path.parent / "issuer.d/fleet.toml").read_text())
            assert set(table["fleet"]) == {"listen", "relay"}
            await until_it_follows_only_relays(fleet.nodes[NODE])
