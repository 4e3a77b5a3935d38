"""Nodes join with real programs: relay, issuer with and without a daemon, and node. An invite is good for one node."""

import asyncio
import base64
import itertools
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stand.daemon import IssuerDaemon
from stand.issuer import Finished, Issuer
from stand.processes import PROGRAMS
from stand.relay import RelayProcess
from wellkeeper_client import records, trust_file
from wellkeeper_client.joining import Invite, Pins, parse_invite
from wellkeeper_client.records import Kind
from wellkeeper_client.signing import decode_public_key, encode_public_key, key_id
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.state.state import JOURNAL, open_state
from wellkeeper_issuer.ports.fleet import OpenInvite
from wellkeeper_node import history, settings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.records.relay import RelayRecords

pytestmark = pytest.mark.integration

CA = "https://127.0.0.1:1/directory"
OTHER_KEY = encode_public_key(decode_public_key("A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"))


class Host:
    """An issuer's host with a relay, and the directories of nodes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.issuer = Issuer(folder)
        self.relay = RelayProcess(folder / "relay", ())
        self.config_text = "\n".join(
            [
                f"ca = '{CA}'",
                f"state_dir = '{self.issuer.state_dir}'",
                f"certificates_dir = '{self.issuer.certificates_dir}'",
                "[fleet]",
                f"listen = ['{self.relay.address}']",
                f"relay = 'unix:{self.relay.issuer_socket}'",
                "[[nodes]]",
                "name = 'local'",
                f"responder = 'unix:{folder}/control.sock'",
                "http_addresses = []",
                "[[certificates]]",
                "name = 'web'",
                "identifiers = ['www.example.org', '192.0.2.7']",
            ]
        )

    async def invite(self, name: str = "web2", *options: str) -> Invite:
        found = (await self.issuer.run_well("node", "invite", name, "--json", *options)).json()
        return parse_invite(found["invite"])

    async def join(self, line: str, place: str = "web2", *options: str) -> Finished:
        """Run `wellkeeper-node join` in a directory of its own."""
        node = self.folder / place
        arguments = (f"--config={node}/etc/node.toml", f"--state-dir={node}/state")
        process = await asyncio.create_subprocess_exec(
            str(PROGRAMS / "wellkeeper-node"),
            "join",
            *arguments,
            f"--certificates-dir={node}/certificates",
            *options,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )
        out, err = await process.communicate(f"{line}\n".encode())
        return Finished(await process.wait(), out.decode(), err.decode())

    async def node_list(self) -> Any:  # noqa: ANN401 - JSON
        return (await self.issuer.run_well("node", "list", "--json")).json()

    async def record(self, key: str) -> records.Record | None:
        """Return what the relay has under the key."""
        relay = RelayRecords(f"unix:{self.relay.issuer_socket}", SystemClock())
        try:
            found = await relay.get(key)
        finally:
            await relay.close()
        keys = list(FleetKeys(self.issuer.state_dir).trusted)
        trusted = {key_id(key): key for key in keys}
        return records.check(found.value, trusted, records.kind_of(key), time.time()) if found else None

    async def until_recorded(self, *, is_there: bool) -> None:
        """Wait until the relay has, or no longer has, the record of web2; the test's time-out is the limit."""
        for _ in itertools.repeat(None):
            if (await self.record(f"{Kind.NODE}/web2") is not None) is is_there:
                return
            await asyncio.sleep(0.05)

    def has_joined(self, place: str) -> bool:
        return (self.folder / place / "etc/node.toml").exists()


@asynccontextmanager
async def listening(folder: Path) -> AsyncIterator[Host]:
    """Yield a host on which `fleet listen` was run, with its relay."""
    host = Host(folder)
    host.issuer.config_path.parent.mkdir(parents=True)
    host.issuer.config_path.write_text(host.config_text)
    AccountFolder(host.issuer.state_dir, (CA,)).make_keys()
    found = (await host.issuer.run_well("fleet", "listen", host.relay.address, "--json")).json()
    host.relay.process.argv += tuple(f"--fleet-key={key}" for key in found["fleet_keys"])
    async with host.relay:
        yield host


async def test_invited_node_joins_and_has_settings_trust_file_and_placeholders(folder: Path) -> None:
    async with listening(folder) as host, IssuerDaemon(host.issuer) as daemon:
        invite = await host.invite()
        finished = await host.join(invite.line)
        assert finished.exit_code == 0, finished
        await daemon.until(detail="node 'web2' has joined: it gets all certificates, and answers challenges")
        node = host.folder / "web2"
        found = settings.read(node / "etc/node.toml")
        assert (found.name, found.relays, found.answers) == ("web2", (host.relay.address,), True)
        trust = trust_file.read(found.trust_file)
        pins = Pins(trust.account_thumbprints, trust.publishing_keys, trust.fleet_keys)
        assert (pins.digest, len(pins.fleet_keys)) == (invite.pins, 2)
        assert "BEGIN CERTIFICATE" in (node / "certificates/live/web/fullchain.pem").read_text()
        assert str(node / "certificates/live/web/privkey.pem") in finished.out
        (listed,) = (await host.node_list())["nodes"]
        record = await host.record(f"{Kind.NODE}/web2")
        assert record is not None
        assert record.body["signing_key"] == listed["signing_key"]
        again = await host.join(invite.line)
        assert again.exit_code == 0, again
        assert len((await host.node_list())["nodes"]) == 1
        await check_history(host, invite)


async def check_history(host: Host, invite: Invite) -> None:
    """Check that issuer and node have recorded the invite and the join, and the secret nowhere."""
    events = (await host.issuer.run_well("history", "web2", "--json")).json()["events"]
    assert [(one["kind"], " ".join(one["command"].split()[:2])) for one in events] == [
        ("node-invited", "wellkeeper node"),
        ("node-joined", "wellkeeper run"),
    ]
    own = host.folder / "web2/state"
    entries = [(one.what, one.author.command.split()[1]) for one in history.read(own)[0]]
    assert entries == [("trust-written", "join"), ("node-joined", "join")]
    secret = base64.urlsafe_b64encode(invite.secret).decode().rstrip("=")
    texts = [path.read_text() for state in (host.issuer.state_dir, own) for path in state.glob("*.jsonl")]
    assert [text for text in texts if secret in text or invite.line in text] == []


async def test_invite_is_good_for_one_node_and_one_name(folder: Path) -> None:
    async with listening(folder) as host, IssuerDaemon(host.issuer) as daemon:
        invite = await host.invite("web2", "--no-answers", "--certificates=web")
        renamed = await host.join(replace(invite, node="web3").line, "web3")
        assert (renamed.exit_code, host.has_joined("web3")) == (1, False)
        assert "the issuer refused the request" in renamed.err
        await daemon.until(logger="joins")
        assert (await host.join(invite.line)).exit_code == 0
        second = await host.join(invite.line, "thief")
        assert (second.exit_code, host.has_joined("thief")) == (1, False)
        assert "another node uses this invite" in second.err
        (listed,) = (await host.node_list())["nodes"]
        assert (listed["answers"], listed["certificates"]) == (False, ["web"])
        refused = await host.issuer.run("node", "invite", "web2")
        assert refused.exit_code == 2
        assert "a node with this name has joined" in refused.err


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"pins": Pins((), (), ()).digest}, "its keys are not those of the invite"),
        ({"fleet_key": OTHER_KEY}, "the key in 'kid' is not trusted for this"),
        ({"secret": bytes(16)}, "the invite is unknown here"),
    ],
    ids=["pins", "fleet key", "secret"],
)
async def test_node_believes_only_the_issuer_in_its_invite(folder: Path, change: dict[str, Any], why: str) -> None:
    async with listening(folder) as host, IssuerDaemon(host.issuer):
        invite = await host.invite()
        finished = await host.join(replace(invite, **change).line)
        assert (finished.exit_code, host.has_joined("web2")) == (1, False)
        assert why in finished.err
        assert not (host.folder / "web2/etc/trust.toml").exists()
        assert (await host.join(invite.line)).exit_code == 0


async def test_expired_invite_is_refused(folder: Path) -> None:
    async with listening(folder) as host:
        at = datetime.fromtimestamp(time.time() - 7200, UTC)
        async with open_state(host.issuer.state_dir / JOURNAL, may_write=True) as state:
            late = OpenInvite("i" * 22, "web2", bytes(16), "{}", ("*",), True, at, at)
            await state.fleet.record_invite(late)
        async with IssuerDaemon(host.issuer):
            invite = await host.invite("web3")
            expired = replace(invite, secret=bytes(16), node="web2", expires_at=int(at.timestamp()) - 3600)
            finished = await host.join(expired.line)
        assert (finished.exit_code, host.has_joined("web2")) == (1, False)
        assert "the invite has expired" in finished.err


async def test_without_a_daemon_the_command_waits_until_the_node_has_joined(folder: Path) -> None:
    async with listening(folder) as host:
        process = await host.issuer.start("node", "invite", "web2")
        assert process.stdout is not None
        line = ""
        while not line.startswith("wk1."):
            line = (await process.stdout.readline()).decode()
        finished = await host.join(line)
        assert finished.exit_code == 0, finished
        await process.communicate()
        assert await process.wait() == 0
        assert [one["name"] for one in (await host.node_list())["nodes"]] == ["web2"]


@pytest.mark.parametrize("has_daemon", [True, False])
async def test_removed_node_is_gone_from_state_and_relay(folder: Path, has_daemon: bool) -> None:
    async with listening(folder) as host:
        async with IssuerDaemon(host.issuer):
            assert (await host.join((await host.invite()).line)).exit_code == 0
            await host.until_recorded(is_there=True)
            if has_daemon:
                await host.issuer.run_well("node", "remove", "web2", "--yes")
        if not has_daemon:
            await host.issuer.run_well("node", "remove", "web2", "--yes")
        assert (await host.node_list())["nodes"] == []
        await host.until_recorded(is_there=False)
