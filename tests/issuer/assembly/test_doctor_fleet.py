"""Doctor's checks of the relay and of the nodes, with a real relay in this process."""

from datetime import UTC, datetime
from pathlib import Path

from tests.issuer.commands.conftest import Program, program
from tests.relay.conftest import settings
from wellkeeper_issuer.assembly.doctor import examine, fleet
from wellkeeper_issuer.outside.keys.engine_passwords import EnginePasswords
from wellkeeper_issuer.outside.state.state import JOURNAL, open_state
from wellkeeper_issuer.ports.fleet import EnrolledNode
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_relay.app import Relay
from wellkeeper_responder.clock import SystemClock

__all__ = ["program"]


async def found(program: Program) -> dict[str, Finding]:
    return {one.check: one for one in await examine(program.config, checks=fleet.CHECKS)}


def configure(program: Program, socket: Path) -> None:
    program.configure(more=f"[fleet]\nlisten = ['10.0.0.1:8404']\nrelay = 'unix:{socket}'")
    program.make_keys()


async def test_host_without_a_relay_skips_both(program: Program) -> None:
    program.configure("a.example")
    assert {one.verdict for one in (await found(program)).values()} == {Verdict.SKIPPED}


async def test_relay_that_is_away_is_a_failure(program: Program, folder: Path) -> None:
    configure(program, folder / "issuer.sock")
    assert (await found(program))["relay"].cause.startswith("cannot reach the relay at unix:")


async def test_lease_of_an_engine_that_is_away_is_unknown(program: Program, folder: Path) -> None:
    program.configure(
        more=f"[fleet]\nlisten = ['10.0.0.1:8404']\nrelay = 'unix:{folder}/r'\n[fleet.engine]\naddress = 'redis://127.0.0.1:1'"
    )
    program.make_keys()
    missing = (await found(program))["engine"]
    assert (missing.verdict, missing.cause.startswith("the password of the engine is missing: ")) == (
        Verdict.FAIL,
        True,
    )
    EnginePasswords(program.state_dir).make()
    every = await found(program)
    assert (every["engine"].verdict, every["engine"].subject) == (Verdict.FAIL, "")
    lease = every["lease"]
    assert (lease.verdict, lease.fix) == (Verdict.FAIL, "Run 'wellkeeper engine check'.")
    assert lease.cause.startswith("cannot find out who holds the engine's lease: ")


async def test_relay_and_nodes_are_judged(program: Program, folder: Path) -> None:
    made = settings(folder)
    configure(program, Path(made.issuer.path))
    async with Relay(made, SystemClock()):
        first = await found(program)
        assert (first["relay"].cause, first["nodes"].cause) == ("it answers", "no other node has joined")
        async with open_state(program.state_dir / JOURNAL, may_write=True) as state:
            await state.fleet.record_node(EnrolledNode("web2", "s", "x", ("*",), True, datetime.now(UTC)))
        nodes = (await found(program))["nodes"]
    assert (nodes.subject, nodes.verdict) == ("web2", Verdict.OK)
