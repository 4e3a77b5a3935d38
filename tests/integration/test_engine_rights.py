"""The lines of `engine acl` in a real server: issuer and nodes can do what they do, and nothing else."""

import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from stand.key_value import KeyValueServer, Server
from wellkeeper_client.records import Kind
from wellkeeper_issuer.assembly.engine_checks import check_engine
from wellkeeper_issuer.fleet.engine_acl import CONFIGURATION, DEDICATED, EngineUser, issuer_line, node_line
from wellkeeper_issuer.settings import Settings, read_settings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import RecordsError
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.records.engine import DEFAULT_PREFIX, EngineAddress, parse_engine
from wellkeeper_node.records.engine_calls import EngineCalls
from wellkeeper_node.records.engine_connection import Access
from wellkeeper_node.records.valkey import ValkeyRecords

pytestmark = pytest.mark.integration

ISSUER: Final = EngineUser("wellkeeper-issuer", "i" * 20)
NODE: Final = EngineUser("wellkeeper-node", "n" * 20)
# A busy machine answers late.
SECONDS: Final = 20.0


@dataclass(frozen=True)
class Engine:
    """A server with the users of `engine acl`, and settings that name it."""

    server: KeyValueServer
    settings: Settings
    host: str = "127.0.0.1"

    @property
    def address(self) -> EngineAddress:
        return parse_engine(f"redis://{self.host}:{self.server.port}")

    @asynccontextmanager
    async def user(self, user: EngineUser, node: str = "") -> AsyncIterator[tuple[EngineCalls, ValkeyRecords]]:
        calls = EngineCalls(Access(self.address, user.name, user.password, SECONDS, SECONDS))
        found = ValkeyRecords(calls, SystemClock(), node)
        try:
            yield calls, found
        finally:
            await found.close()

    async def findings(self) -> dict[tuple[str, str], Finding]:
        return {(one.check, one.subject): one for one in await check_engine(self.settings, self.address)}


@asynccontextmanager
async def engine(server: Server, folder: Path, *lines: str, options: tuple[str, ...] = ()) -> AsyncIterator[Engine]:
    """Start it with these lines in its ACL file."""
    for name, user in (("issuer", ISSUER), ("nodes", NODE)):
        path = folder / f"{name}.password"
        path.touch(0o600)
        path.write_text(user.password)
    (folder / "users.acl").write_text("\n".join((*lines, DEDICATED, "")))
    config = folder / "issuer.toml"
    config.write_text(
        f"state_dir = '{folder}/state'\ncertificates_dir = '{folder}/certificates'\n[fleet.engine]\n"
        f"password_file = '{folder}/issuer.password'\nnode_password_file = '{folder}/nodes.password'\n"
    )
    acl = ("--aclfile", str(folder / "users.acl"))
    async with KeyValueServer(server, folder / "engine", *acl, *options) as running:
        yield Engine(running, read_settings(config))


def lines() -> tuple[str, str]:
    return issuer_line(ISSUER, DEFAULT_PREFIX), node_line(NODE, DEFAULT_PREFIX)


async def refused(*calls: Awaitable[object]) -> None:
    for one in calls:
        with pytest.raises(RecordsError, match="permissions"):
            await one


@pytest.mark.parametrize("server", ["valkey", "redis"])
async def test_issuer_and_nodes_can_do_what_they_do_and_nothing_else(folder: Path, server: Server) -> None:
    async with (
        engine(server, folder, *lines()) as made,
        made.user(ISSUER) as (issuer_calls, issuer),
        made.user(NODE, "web2") as (node_calls, node),
    ):
        lease = await issuer.acquire("issuer", 60)
        assert lease
        assert await issuer.extend(lease, 60)
        later = time.time() + 60
        for key in ("node/web2", "wrap/web2/web", "wrap/web3/web", "bundle/web", "publication/jti", "manifest/fleet"):
            await issuer.put(key, b"first", lease=lease, expires_at=later)
        bundle = await issuer.get("bundle/web")
        assert bundle
        await issuer.put("manifest/fleet", b"second", expected=bundle.version, lease=lease, expires_at=later)
        await issuer.delete("bundle/web", expected=bundle.version, lease=lease)
        version = await node.put("report/web2", b"first", expires_at=later)
        await node.put("report/web2", b"second", expected=version, expires_at=later)
        assert await seen(node, Kind.NODE, Kind.WRAP, Kind.MANIFEST, Kind.PUBLICATION) == {
            "node/web2", "wrap/web2/web", "manifest/fleet", "publication/jti"
        }  # fmt: skip
        assert "report/web2" in await seen(issuer, *Kind)
        await refused(
            node.put("manifest/fleet", b"third", expected=bundle.version),
            node.put("node/web2", b"second", expected=bundle.version),
            node.delete("node/web2", expected=bundle.version),
            node.acquire("node", 60),
        )
        # Within a script, too.
        async with issuer_calls.apart() as connection:
            for script in ("return redis.call('SET', KEYS[1], 'x')", "return redis.call('FLUSHALL')"):
                (reply,) = await connection.ask(("EVAL", script, 1, "{wk}:lease" if "FLUSH" in script else "shop"))
                assert isinstance(reply, Exception), reply
        # One user for all nodes: it can replace their reports, which their keys sign, and read what is sealed for them.
        (replaced, read) = await node_calls.ask(
            ("SET", "{wk}:report/web3", "x"), ("GETRANGE", "{wk}:wrap/web3/web", 0, 1)
        )
        assert (replaced, bool(read)) == (b"OK", True)


async def seen(records: ValkeyRecords, *kinds: Kind) -> set[str]:
    """Return the keys of a snapshot."""
    keys: set[str] = set()
    async with aclosing(records.follow(*kinds)) as updates:
        async for update in updates:
            keys |= {one.key for one in update.records}
            if update.is_whole:
                break
    return keys


async def test_engine_that_is_set_up_as_printed_passes_every_check(folder: Path) -> None:
    printed = [word for line in CONFIGURATION if not line.startswith("#") for word in f"--{line}".split()]
    async with engine("valkey", folder, *lines(), options=tuple(printed)) as made:
        found = await made.findings()
        del found["follow", ""]  # a busy machine is slow
        assert {one.verdict for one in found.values()} == {Verdict.OK}, found
        assert ("rights", "nodes") in found
        async with made.user(ISSUER) as (_, issuer):
            assert await issuer.acquire("another", 60)
        assert (await made.findings())["lease", ""].cause == "held by an issuer: another"


async def test_engine_with_other_rights_and_settings_fails(folder: Path) -> None:
    of_issuer = "user wellkeeper-issuer on >" + ISSUER.password + " allkeys allchannels +@all"
    of_node = "user wellkeeper-node on >" + NODE.password + " %R~* &* +@all -publish"
    options = ("--maxmemory-policy", "allkeys-lru", "--maxmemory", "64mb")
    async with engine("redis", folder, of_issuer, of_node, options=options) as made:
        found = await made.findings()
    assert found["follow", ""].verdict in {Verdict.OK, Verdict.WARN}
    verdicts = {key: one.verdict for key, one in found.items()}
    assert verdicts["rights", "nodes"] is Verdict.WARN
    assert verdicts["rights", "issuer"] is Verdict.WARN
    assert verdicts["memory", ""] is Verdict.FAIL
    assert "empty the server" in found["rights", "issuer"].cause


async def test_command_that_follows_or_reports_need_is_missed(folder: Path) -> None:
    of_issuer, of_node = lines()
    async with engine("redis", folder, f"{of_issuer} -sscan -subscribe", f"{of_node} -ping -watch") as made:
        found = await made.findings()
    assert found["rights", "issuer"].cause == "it may not find records, follow records"
    assert found["rights", "nodes"].cause == "it may not send PING"
    assert "no permissions to run the 'watch' command" in found["report", "nodes"].cause
    assert found["report", "nodes"].verdict is Verdict.FAIL


async def test_engine_that_is_full_is_not_said_to_lack_rights(folder: Path) -> None:
    async with engine("valkey", folder, *lines(), options=("--maxmemory", "1")) as made:
        found = await made.findings()
    assert found["report", "nodes"].fix == "Raise the engine's maxmemory, or delete other data from it."
    assert {found["rights", name].verdict for name in ("issuer", "nodes")} == {Verdict.OK}
