"""A directory of settings that is mounted read-only, as from a ConfigMap: the commands about nodes."""

import asyncio
from pathlib import Path

import pytest

from stand.daemon import IssuerDaemon
from stand.issuer import Issuer
from stand.processes import PROGRAMS
from tests.integration.test_joining import CA, Host, listening
from wellkeeper_client import trust_file
from wellkeeper_client.trust_file import Trust
from wellkeeper_issuer.outside.keys.accounts import AccountFolder

pytestmark = [pytest.mark.integration, pytest.mark.root]


def read_only(issuer: Issuer, folder: Path) -> Issuer:
    """Return the same issuer, whose commands see its settings through a read-only mount."""
    programs, etc = folder / "read-only", issuer.config_path.parent
    programs.mkdir()
    script = programs / "wellkeeper"
    script.write_text(
        "#!/bin/sh\nexec unshare --mount sh -c"
        f' \'mount --bind {etc} {etc} && mount -o remount,bind,ro {etc} && exec "$0" "$@"\''
        f' {PROGRAMS}/wellkeeper "$@"\n'
    )
    script.chmod(0o755)
    return Issuer(folder, programs)


async def public_line(folder: Path) -> str:
    command = (str(PROGRAMS / "wellkeeper-node"), "init", f"--state-dir={folder}/state")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    line, _ = await process.communicate()
    return line.decode().strip()


async def test_nodes_are_invited_added_and_removed(folder: Path) -> None:
    async with listening(folder) as host:
        issuer, before = read_only(host.issuer, folder), contents(host)
        added = await issuer.run("node", "add", "web3", await public_line(folder / "web3"))
        assert (added.exit_code, added.out) == (0, "added web3\n"), added
        async with IssuerDaemon(host.issuer) as daemon:
            invited = await issuer.run_well("node", "invite", "web2", "--json")
            joined = await host.join(invited.json()["invite"])
            assert joined.exit_code == 0, joined
            await daemon.until(detail="node 'web2' has joined: it gets all certificates, and answers challenges")
            removed = await issuer.run("node", "remove", "web2", "--yes")
            assert removed.exit_code == 0, removed
        removed = await issuer.run("node", "remove", "web3", "--yes")
        assert removed.exit_code == 0, removed
        assert (await host.node_list())["nodes"] == []
        assert contents(host) == before


async def test_relay_that_the_settings_have_is_started_without_writing(folder: Path) -> None:
    async with listening(folder) as host:
        path = host.issuer.trust_path
        wanted = await host.issuer.run_well("trust", "--write")
        assert wanted.exit_code == 0
        found, before = trust_file.read(path), contents(host)
        issuer = read_only(host.issuer, folder)
        finished = await issuer.run("fleet", "listen", host.relay.address)
        assert finished.exit_code == 0, finished
        assert "kept   " in finished.out
        assert contents(host) == before
        path.write_text(trust_file.to_toml(Trust(found.account_thumbprints, found.publishing_keys)))
        finished = await issuer.run("fleet", "listen", host.relay.address)
        assert finished.exit_code == 0, finished
        assert f"note   cannot write {path} (Read-only file system), which lacks the fleet keys" in finished.out


async def test_relay_that_the_settings_lack_is_refused_with_all_that_is_to_be_written(folder: Path) -> None:
    host = Host(folder)
    host.issuer.config_path.parent.mkdir(parents=True)
    host.issuer.config_path.write_text(
        "\n".join(line for line in host.config_text.splitlines() if not line.startswith(("[fleet]", "listen", "relay")))
    )
    AccountFolder(host.issuer.state_dir, (CA,)).make_keys()
    before = contents(host)
    refused = await read_only(host.issuer, folder).run("fleet", "listen", "10.0.0.1:8404")
    assert refused.exit_code == 2
    etc = host.issuer.config_path.parent
    assert f"cannot write {etc}/relay.env" in refused.err
    words = " ".join(refused.err.split())
    assert "Read-only file system" in words
    assert f"into {etc}/relay.env: WELLKEEPER_RELAY_NODES=10.0.0.1:8404 WELLKEEPER_RELAY_FLEET_KEY=" in words
    assert f'into {etc}/issuer.d/fleet.toml: [fleet] listen = ["10.0.0.1:8404"]' in words
    assert contents(host) == before


def contents(host: Host) -> dict[str, bytes]:
    files = (path for path in host.issuer.config_path.parent.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in files}
