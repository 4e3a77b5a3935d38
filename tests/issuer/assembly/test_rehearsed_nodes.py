"""Nodes behind the relay in a rehearsal, with a real relay in this process, or none, and a real engine."""

import time
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stand.key_value import KeyValueServer
from tests.contracts.test_fleet import WEB3
from tests.engines import records_at
from tests.fakes_deliver import dns
from tests.issuer.assembly.test_doctor_fleet import configure
from tests.issuer.commands.conftest import Program, program
from tests.relay.conftest import settings
from tests.responder.http import ask
from tests.responder.messages import JTI, KEY, THUMBPRINT, TOKEN, publication
from wellkeeper_client import records
from wellkeeper_client.records import Kind
from wellkeeper_client.signing import encode_public_key, sign_publication
from wellkeeper_issuer import settings as issuer_settings
from wellkeeper_issuer.assembly.publishing import publish_for_client
from wellkeeper_issuer.assembly.rehearsed_nodes import remote_nodes
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.state.state import JOURNAL, open_state
from wellkeeper_node import clock
from wellkeeper_node.agent.report import PublicationReport, Report, ResponderReport
from wellkeeper_node.errors import PublishError
from wellkeeper_node.model import Answer
from wellkeeper_relay.app import Relay
from wellkeeper_relay.settings import Settings
from wellkeeper_responder.clock import SystemClock

__all__ = ["program"]

ANSWER = Answer(TOKEN, THUMBPRINT, dns("a.example"))


NODE_KEY = Ed25519PrivateKey.generate()


async def enrol(program: Program, folder: Path, **changes: Any) -> Settings:  # noqa: ANN401 - fields
    """Enrol a node, and return the settings of a relay that knows the fleet key."""
    made = settings(folder)
    configure(program, made.issuer.path)
    keys = FleetKeys(program.state_dir)
    keys.make()
    public = encode_public_key(NODE_KEY.public_key())
    async with open_state(program.state_dir / JOURNAL, may_write=True) as state:
        await state.fleet.record_node(replace(WEB3, signing_key=public, **changes))
    return replace(made, fleet_keys=(encode_public_key(keys.current.public_key()),))


@pytest.mark.parametrize("changes", [{"answers": False}, {"is_ephemeral": True}], ids=["no answers", "gone"])
async def test_nodes_for_which_no_order_waits_are_not_rehearsed(
    program: Program, folder: Path, changes: dict[str, bool]
) -> None:
    await enrol(program, folder, **changes)
    async with remote_nodes(issuer_settings.read_settings(program.config)) as found:
        assert found is None


async def test_nodes_may_follow_a_relay_that_has_just_restarted(program: Program, folder: Path) -> None:
    made = await enrol(program, folder)
    async with Relay(made, SystemClock()):
        for _ in range(2):
            async with remote_nodes(issuer_settings.read_settings(program.config)) as found:
                assert found is not None
                assert found[1] == ["web3"]
        reply = await ask(made.issuer, "GET", "/v1/records/node/web3")
        assert reply.json()["record"] is not None


async def test_relay_that_is_away_is_the_cause_of_each_node(program: Program, folder: Path) -> None:
    await enrol(program, folder)
    async with remote_nodes(issuer_settings.read_settings(program.config)) as found:
        assert found is not None
        (failure,) = await found[0].failures([ANSWER])
    assert failure.node == "web3"
    assert failure.cause is not None
    assert failure.cause.startswith("cannot reach the relay at unix:")


async def test_publication_for_another_client_needs_one_node_that_is_not_left_out(
    program: Program, folder: Path
) -> None:
    await enrol(program, folder)
    read = issuer_settings.read_settings(program.config)
    with pytest.raises(PublishError, match="no node is left that answers challenges"):
        await publish_for_client(read, ANSWER, ("local", "web3"))


def acl_file(program: Program) -> Path:
    """Make the passwords, and return the engine's ACL file."""
    users = program.run("engine", "acl", "--json").json()["users"]
    path = program.state_dir / "users.acl"
    path.write_text("user default on nopass ~* &* +@all\n" + "".join(f"{one['line']}\n" for one in users))
    return path


def held(jti: str) -> bytes:
    """Return the report of a node that holds and serves the publication."""
    responder = ResponderReport("i" * 22, "1.2.3", (THUMBPRINT,))
    report = Report("1.2.3", time.time(), 0, None, responder, {jti: PublicationReport(is_held=True)}, {}, {})
    return records.sign(report.to_record("web3", int(time.time()), int(time.time())), NODE_KEY).encode()


async def test_engine_is_enough_while_the_relay_is_away(program: Program, folder: Path) -> None:
    await enrol(program, folder)
    async with KeyValueServer("redis", folder / "engine", "--aclfile", str(acl_file(program))) as engine:
        with program.config.open("a") as file:
            file.write(f"\n[fleet.engine]\naddress = 'redis://127.0.0.1:{engine.port}'\n")
        node = records_at(f"unix:{engine.socket}", clock.SystemClock(), node="web3")
        async with (
            remote_nodes(issuer_settings.read_settings(program.config)) as found,
            aclosing(node.follow(Kind.PUBLICATION)) as updates,
        ):
            assert found is not None
            await anext(updates)
            await found[0].put(TOKEN, sign_publication(publication(), KEY))
            assert [one.key for one in (await anext(updates)).records] == [f"publication/{JTI}"]
            await node.put("report/web3", held(JTI))
            assert await found[0].failures([ANSWER]) == []
        await node.close()
