"""A node whose keys someone else has, and invites in wrong hands, against the real issuer and relay."""

import asyncio
import contextlib
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stand.daemon import IssuerDaemon
from stand.processes import PROGRAMS
from tests.integration.test_joining import Host, listening
from wellkeeper_client import records, trust_file
from wellkeeper_client.records import MAX_NUMBER, Kind
from wellkeeper_issuer.fleet.manifest import sign_manifest
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_node import settings
from wellkeeper_node.agent.keys import NodeKeys
from wellkeeper_node.agent.report import Report
from wellkeeper_node.bundles.manifest import MANIFEST_KEY, Manifest, read_manifest
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import ConflictError, UnavailableError
from wellkeeper_node.records.relay import Reader, RelayRecords

pytestmark = pytest.mark.integration


async def joined(host: Host, name: str, place: str = "") -> None:
    finished = await host.join((await host.invite(name)).line, place or name)
    assert finished.exit_code == 0, finished


@asynccontextmanager
async def thief(host: Host, node: str, place: str = "", name: str = "") -> AsyncIterator[RelayRecords]:
    """Yield the relay as someone sees it who has the keys of this node, and says to be `name`."""
    key = NodeKeys(host.folder / (place or node) / "state").signing_key
    relay = RelayRecords(host.relay.address, SystemClock(), Reader(name or node, key))
    try:
        yield relay
    finally:
        await relay.close()


def report(host: Host, number: int, about: str = "web2", place: str = "web2") -> bytes:
    """Return a report about a node, signed with the key of the one in this directory."""
    record = Report("1.2.3", time.time()).to_record(about, number, int(time.time()))
    return records.sign(record, NodeKeys(host.folder / place / "state").signing_key).encode()


def manifest(host: Host, number: int, *, by_node: bool = False) -> bytes:
    made = Manifest(number, int(time.time()), {}, {}, {})
    signer = NodeKeys(host.folder / "web2/state").signing_key if by_node else FleetKeys(host.issuer.state_dir).current
    return sign_manifest(made, signer)


async def enrolled(relay: RelayRecords) -> None:
    """Wait until the relay knows the node."""
    for _ in itertools.repeat(None):
        with contextlib.suppress(UnavailableError):
            await relay.get("manifest/fleet")
            return


async def test_thief_of_a_nodes_keys_reads_and_writes_nothing_of_others(folder: Path) -> None:
    async with listening(folder) as host, IssuerDaemon(host.issuer):
        for name in ("web2", "web3"):
            await joined(host, name)
        async with thief(host, "web2") as relay, thief(host, "web3") as other:
            for one in (relay, other):
                await enrolled(one)
            assert await other.put("report/web3", report(host, 1, "web3", "web3"))
            for key in ("node/web3", "wrap/web3/web", "report/web3", "invite/x", "answer/x"):
                assert await relay.get(key) is None
            async with aclosing(relay.follow(*Kind)) as updates:
                seen = {one.key for one in (await anext(updates)).records}
            assert "node/web2" in seen
            assert not [key for key in seen if "web3" in key or key.startswith(("invite/", "join/", "answer/"))]
            for key, message in (
                ("report/web3", report(host, 9, "web3")),
                ("report/web2", report(host, 9, "web3")),
                ("node/web2", report(host, 9)),
                (MANIFEST_KEY, manifest(host, MAX_NUMBER, by_node=True)),
            ):
                with pytest.raises(UnavailableError, match="refused with HTTP 40"):
                    await relay.put(key, message)
        async with thief(host, "web2", name="web3") as relay:
            with pytest.raises(UnavailableError, match="HTTP 401"):
                await relay.get("report/web3")


async def test_older_manifest_of_a_thief_is_refused_and_the_right_one_stays(folder: Path) -> None:
    async with listening(folder) as host, IssuerDaemon(host.issuer):
        await joined(host, "web2")
        async with thief(host, "web2") as relay:
            await enrolled(relay)
            found = None
            while found is None:
                found = await relay.get(MANIFEST_KEY)
            keys = trust_file.read(folder / "web2/etc/trust.toml").fleet_keys
            assert keys
            right = await host.record(MANIFEST_KEY)
            assert right is not None
            older = manifest(host, read_manifest(right).number - 1)
            with pytest.raises(ConflictError, match="has had number"):
                await relay.put(MANIFEST_KEY, older, expected=found.version)
            assert await relay.put(MANIFEST_KEY, found.value, expected=found.version, expires_at=1.0) == found.version
            assert await relay.get(MANIFEST_KEY) is not None


async def flood(host: Host, relay: RelayRecords) -> str:
    """Send reports without a pause until one is refused; return the version of the last one that was not."""
    version = None
    for number in itertools.count(1):
        try:
            version = await relay.put("report/web2", report(host, number), expected=version)
        except UnavailableError:
            break
    return version or ""


async def test_flood_of_reports_is_bounded_and_the_nodes_successor_is_heard(folder: Path) -> None:
    async with listening(folder) as host, IssuerDaemon(host.issuer):
        await joined(host, "web2")
        async with thief(host, "web2") as relay:
            await enrolled(relay)
            version = await flood(host, relay)
            highest = report(host, MAX_NUMBER)
            for _ in itertools.repeat(None):
                with contextlib.suppress(UnavailableError):
                    await relay.put("report/web2", highest, expected=version)
                    break
            await host.issuer.run_well("node", "remove", "web2", "--yes")
            await host.until_recorded(is_there=False)
            with pytest.raises(UnavailableError, match="HTTP 401"):
                await relay.get("node/web2")
        await joined(host, "web2", "new")
        async with thief(host, "web2", "new") as relay:
            await enrolled(relay)
            assert await relay.put("report/web2", report(host, 1, place="new"))


async def test_invite_that_two_hosts_use_at_once_is_good_for_one(folder: Path) -> None:
    async with listening(folder) as host, IssuerDaemon(host.issuer):
        line = (await host.invite()).line
        finished = await asyncio.gather(*(host.join(line, place) for place in ("one", "two", "three")))
        assert sorted(one.exit_code for one in finished) == [0, 1, 1]
        (place,) = [place for place in ("one", "two", "three") if host.has_joined(place)]
        (listed,) = (await host.node_list())["nodes"]
        async with thief(host, "web2", place) as relay:
            await enrolled(relay)
        assert listed["name"] == "web2"


async def test_join_that_is_killed_at_any_moment_can_be_repeated(folder: Path) -> None:
    async with listening(folder) as host, IssuerDaemon(host.issuer):
        invite, node = await host.invite(), folder / "web2"
        started_at = time.monotonic()
        assert (await host.join(replace(invite, secret=bytes(16)).line, "other")).exit_code == 1
        longest = time.monotonic() - started_at
        for share in range(5):
            await killed(host, invite.line, longest * share / 5)
            if (node / "etc/node.toml").exists():
                assert settings.read(node / "etc/node.toml").name == "web2"
            if (node / "etc/trust.toml").exists():
                assert trust_file.read(node / "etc/trust.toml").fleet_keys
        assert (await host.join(invite.line)).exit_code == 0
        assert (node / "certificates/live/web/privkey.pem").exists()
        assert len((await host.node_list())["nodes"]) == 1


async def killed(host: Host, line: str, seconds: float) -> None:
    """Kill `join` after this time."""
    node = host.folder / "web2"
    process = await asyncio.create_subprocess_exec(
        str(PROGRAMS / "wellkeeper-node"),
        "join",
        *(f"--config={node}/etc/node.toml", f"--state-dir={node}/state", f"--certificates-dir={node}/certificates"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"]},
    )
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await process.communicate(f"{line}\n".encode())
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    await process.wait()
