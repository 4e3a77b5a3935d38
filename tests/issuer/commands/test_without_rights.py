"""Commands as a user without rights, on a host that root has set up."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.issuer.commands.conftest import Program
from tests.unprivileged import UNPRIVILEGED_ID, as_unprivileged_user
from wellkeeper_client import trust_file
from wellkeeper_issuer.assembly import build_passes
from wellkeeper_issuer.commands import fleet, fleet_listen
from wellkeeper_issuer.outside.ca import account

# That user may not read a Python in root's home: what the commands import later is imported here.
LOADED = (build_passes, account, fleet, fleet_listen)

pytestmark = pytest.mark.root

NAME = "a.example"
ADDED = "c.example"


@pytest.fixture
def host(program: Program) -> Program:
    """Return the program on a host with settings that all may read, keys, and an installed certificate."""
    program.folder.chmod(0o755)
    program.configure(NAME)
    for command in ("init", "placeholder", f"certificate add {ADDED} --no-renew"):
        assert program.run(*command.split()).exit_code == 0
    return program


@pytest.mark.parametrize(
    "arguments",
    [
        "status",
        "why a.example",
        "list",
        "renew",
        "renew --json",
        "rehearse",
        "run",
        "trust",
        "trust --write",
        "init",
        "setup --certificate b.example",
        "reload",
        "certificate add b.example",
        f"certificate remove {ADDED} --yes",
        "revoke a.example",
        "account show",
        "key list",
        "key prepare publishing",
        "key switch publishing",
        "key retire publishing",
        "account register",
        "account update",
        "account rollover",
        "account deactivate --yes",
    ],
)
def test_command_without_rights_is_refused_and_needs_sudo(host: Program, arguments: str) -> None:
    with as_unprivileged_user():
        refused = host.run(*arguments.split())
    assert refused.exit_code in {1, 2}
    assert "with sudo" in (refused.json()["error"]["remedy"] if "--json" in arguments else refused.err)
    assert len(refused.err.splitlines()) <= 3, refused.err


def test_placeholder_without_rights_needs_sudo(host: Program) -> None:
    host.configure(NAME, "b.example")
    with as_unprivileged_user():
        refused = host.run("placeholder")
    assert refused.exit_code == 1
    assert "sudo" in refused.err


@pytest.mark.parametrize("locked", [".", "renewal", "live"])
def test_import_without_rights_needs_sudo(host: Program, folder: Path, locked: str) -> None:
    certbot = folder / "letsencrypt"
    for name in ("renewal", "live"):
        (certbot / name).mkdir(parents=True)
    (certbot / locked).chmod(0o700)
    with as_unprivileged_user():
        refused = host.run("import", "certbot", str(certbot))
    assert refused.exit_code == 2
    assert refused.err.endswith("\n  Run the command with sudo.\n")


def test_relay_beside_settings_of_root_is_refused_whole_and_a_trust_file_of_root_is_only_noted(host: Program) -> None:
    etc, address = host.config.parent, "10.0.0.1:8404"
    give_state(host, UNPRIVILEGED_ID)
    with as_unprivileged_user():
        refused = host.run("fleet", "listen", address)
    assert refused.exit_code == 2
    assert f"cannot write {etc}/relay.env\n  Permission denied\n" in refused.err
    assert f"; into {etc}/issuer.d/fleet.toml: " in " ".join(refused.err.split())
    assert not (etc / "relay.env").exists()
    path = host.config.with_name(trust_file.NAME)
    give_state(host, 0)
    assert host.run("fleet", "listen", address).exit_code == 0
    path.write_text(trust_file.to_toml(replace(trust_file.read(path), fleet_keys=())))
    give_state(host, UNPRIVILEGED_ID)
    with as_unprivileged_user():
        finished = host.run("fleet", "listen", address)
    assert finished.exit_code == 0, finished
    assert f"note   cannot write {path} (Permission denied), which lacks the fleet keys" in finished.out


def give_state(host: Program, user: int) -> None:
    for path in (host.state_dir, *host.state_dir.rglob("*")):
        os.chown(path, user, user)
