"""run on a standby of a fleet with an engine: it takes over once the issuer is lost, else waits."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stand.processes import PROGRAMS
from tests.fakes import FakeClock
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.standbys import FLEET, StandbyHost
from tests.issuer.commands.test_promote import Node
from tests.issuer.fleet.relays import FakeRelay, PlayedNode
from tests.relay.messages import STRANGER_KEY
from wellkeeper_issuer.assembly import fleets
from wellkeeper_issuer.assembly.taking_over import Host, TakingOver, Waits
from wellkeeper_issuer.commands.backing_up.standby import read_node
from wellkeeper_issuer.errors import BusyError
from wellkeeper_issuer.outside.keys.engine_passwords import EnginePasswords
from wellkeeper_issuer.outside.state.lock import LocalOwnership
from wellkeeper_issuer.outside.state.standby import read_standby
from wellkeeper_issuer.outside.state.state import open_state
from wellkeeper_issuer.ports.fleet import EnrolledNode
from wellkeeper_issuer.settings import read_settings

ENGINE: Final = "[fleet.engine]\naddress = 'redis://127.0.0.1:1'"
MINUTES: Final = 5
REACHED: Final = {"10.0.0.1:8404": "refused", "redis://127.0.0.1:1": ""}
HOLDER: Final = "web1 pid 7 a"


class Waiting:
    """A standby that looks at an engine in memory, beside a node `web3`."""

    def __init__(self, node: Node) -> None:
        self.node, program = node, node.program
        self.clock = FakeClock()
        self.clock.step(time.time() - self.clock.timestamp())
        self.engine, self.taking_over = FakeRelay(self.clock), TakingOver(self.clock)
        self.web3 = PlayedNode("web3", self.engine, self.clock)
        standby = read_standby(program.state_dir)
        assert standby
        self.host = Host(read_settings(program.config), standby, read_node())
        asyncio.run(self._join())

    async def _join(self) -> None:
        body = self.web3.body
        one = EnrolledNode("web3", body.signing_key, body.sealing_key, ("*",), True, datetime.now(UTC))
        async with open_state(self.node.program.state_dir / "state.db", may_write=True) as state:
            await state.fleet.record_node(one)

    def look(self, times: int = 1) -> Waits | None:
        """Look once, or each half a minute."""

        async def look() -> Waits | None:
            found = await self.taking_over.look_at(self.host, self.engine)
            for _ in range(times - 1):
                self.clock.advance(30)
                self.clock.step(-30)  # the agent and promotions have a real clock
                found = await self.taking_over.look_at(self.host, self.engine)
            return found

        return asyncio.run(look())

    def wait(self) -> Waits | None:
        """Look until the lease was free for long enough, and return the last result."""
        return self.look(2 * MINUTES + 1)

    def hear(self, *heartbeats: str) -> None:
        asyncio.run(self.web3.say(heartbeats=heartbeats))


@pytest.fixture
def host(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandbyHost:
    made = StandbyHost(program, tmp_path, monkeypatch)
    made.restore()
    (program.state_dir / "standby.json").unlink()
    made.back_up(f"{FLEET}\n{ENGINE}")
    return made


@pytest.fixture
def waiting(host: StandbyHost) -> Waiting:
    node = Node(host)
    node.hear(relays=REACHED)
    return Waiting(node)


def test_standby_takes_lease_and_work_once_no_issuer_had_the_lease_for_minutes(waiting: Waiting) -> None:
    found = waiting.look(2 * MINUTES)
    assert found
    assert found.why.startswith("no issuer holds the engine's lease; this host may take over from 20")
    assert waiting.node.is_standby
    waiting.clock.advance(30)
    assert waiting.look() is None
    assert not (waiting.node.program.state_dir / "standby.json").exists()
    assert waiting.node.host.nodes() == ["web3"]
    assert asyncio.run(waiting.engine.holder()) == fleets.lease_holder(waiting.host.settings)
    event = waiting.node.program.run("history", "--json").json()["events"][-1]
    assert event["details"] == {"reason": "no issuer held the engine's lease"}


def test_standby_waits_as_long_as_an_issuer_has_the_lease(waiting: Waiting) -> None:
    async def lead(seconds: int) -> None:
        await waiting.engine.acquire(HOLDER, seconds)

    waiting.look(2 * MINUTES)
    asyncio.run(lead(60))
    held = Waits(f"held by {HOLDER}", "the issuer holds the engine's lease: web1 pid 7", is_expected=True)
    assert waiting.look() == held
    asyncio.run(lead(0))
    found = waiting.look(2 * MINUTES)
    assert found
    assert found.what == "free"


def test_standby_waits_while_its_agent_hears_the_issuer(waiting: Waiting) -> None:
    waiting.node.hear(waiting.node.beat(), relays=REACHED)
    found = waiting.wait()
    assert found
    assert found.why.startswith("no issuer holds the engine's lease, but the issuer on web1 (bbbbbbbb) was heard ")
    waiting.node.hear(relays=REACHED)
    assert waiting.look() is None


def test_standby_waits_while_its_node_knows_another_fleet_key_than_the_backup(waiting: Waiting) -> None:
    (waiting.node.host.node_dir / "manifest.jws").unlink()
    waiting.node.keep(6, Ed25519PrivateKey.generate())
    found = waiting.wait()
    assert found
    assert "has no manifest of a fleet key in the backup" in found.why


def test_standby_waits_while_its_agent_has_no_contact_through_which_it_could_hear_an_issuer(waiting: Waiting) -> None:
    waiting.node.hear()
    found = waiting.wait()
    assert found
    assert found.why.endswith("wellkeeper-node here reaches neither a relay nor the engine, so it would hear no issuer")


@pytest.mark.parametrize("others", [{}, {"redis://127.0.0.1:2": ""}], ids=["none", "another engine"])
def test_standby_waits_once_its_node_no_longer_follows_the_engine_of_the_backup(
    waiting: Waiting, others: dict[str, str]
) -> None:
    waiting.node.hear(relays={"10.0.0.1:8404": "", **others})
    found = waiting.wait()
    assert found
    assert (found.is_expected, "does not follow redis://127.0.0.1:1, the engine of the backup" in found.why) == (
        False,
        True,
    )
    waiting.node.hear(relays=REACHED)
    assert waiting.look() is None


def test_standby_waits_while_another_node_hears_the_issuer(waiting: Waiting) -> None:
    waiting.hear(waiting.node.beat())
    found = waiting.wait()
    assert found
    assert found.why.startswith(
        "no issuer holds the engine's lease, but node web3 heard the issuer on web1 (bbbbbbbb) "
    )
    waiting.hear()
    assert waiting.look() is None


@pytest.mark.parametrize("what", ["stale", "long ago", "another fleet key", "junk", "of another node", "another key"])
def test_report_that_proves_nothing_does_not_prevent_a_takeover(waiting: Waiting, what: str) -> None:
    beat = waiting.node.beat(301 if what == "long ago" else 9, STRANGER_KEY if what == "another fleet key" else None)
    waiting.clock.step(-200 if what == "stale" else 0)
    waiting.hear(beat)
    waiting.clock.step(200 if what == "stale" else 0)
    forged = {
        "junk": b"junk",
        "of another node": waiting.web3.signed(9, about="web9").value,
        "another key": waiting.web3.signed(9, key=STRANGER_KEY).value,
    }.get(what)
    if forged:
        asyncio.run(replace_report(waiting.engine, forged))
    assert waiting.wait() is None


async def replace_report(engine: FakeRelay, value: bytes) -> None:
    known = await engine.get("report/web3")
    await engine.put("report/web3", value, expected=known.version if known else None)


def test_another_standby_may_be_faster(waiting: Waiting) -> None:
    class Taken(FakeRelay):
        async def acquire(self, holder: str, seconds: int) -> str | None:
            del holder, seconds
            return None

    waiting.engine = Taken(waiting.clock)
    found = waiting.wait()
    assert found
    assert found.why == "another standby has just taken the engine's lease"
    assert waiting.node.is_standby


@pytest.mark.parametrize("is_engine_away", [False, True])
def test_takeover_that_fails_gives_the_lease_back_and_leaves_a_standby(waiting: Waiting, is_engine_away: bool) -> None:
    class Away(FakeRelay):
        async def extend(self, lease: str, seconds: int) -> bool:
            self.is_up = not is_engine_away
            self._check()
            return await super().extend(lease, seconds)

    async def look_while_a_restore_runs() -> None:
        async with LocalOwnership(waiting.node.program.state_dir).hold("restore"):
            await waiting.taking_over.look_at(waiting.host, waiting.engine)

    waiting.engine = Away(waiting.clock)
    waiting.look(2 * MINUTES)
    waiting.clock.advance(30)
    with pytest.raises(BusyError):
        asyncio.run(look_while_a_restore_runs())
    assert waiting.node.is_standby
    waiting.engine.is_up = True
    assert (asyncio.run(waiting.engine.holder()) is None) is not is_engine_away


def test_engine_that_does_not_answer_is_a_reason_to_wait(waiting: Waiting) -> None:
    EnginePasswords(waiting.node.program.state_dir).make()
    waiting.look(2 * MINUTES)
    found = asyncio.run(waiting.taking_over.look(waiting.host))
    assert found
    assert found.why.startswith("cannot find out who holds the engine's lease: ")
    found = waiting.look()
    assert found
    assert found.what == "free"


@contextmanager
def running(program: Program) -> Iterator["subprocess.Popen[str]"]:
    """Run `wellkeeper run` as a process."""
    start = [str(PROGRAMS / "wellkeeper"), "run", "--config", str(program.config)]
    with subprocess.Popen(start, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def log_until(process: "subprocess.Popen[str]", words: str) -> str:
    """Return the log up to a line with these words; the time-out of the test is the limit."""
    lines = []
    for line in process.stderr or ():
        lines.append(line)
        if words in line:
            break
    return "".join(lines)


def test_daemon_of_a_standby_waits_until_it_is_stopped(host: StandbyHost) -> None:
    host.restore()
    in_the_way = host.program.state_dir / ".watch.json"
    in_the_way.mkdir()
    EnginePasswords(host.program.state_dir).make()
    with running(host.program) as process:
        log = log_until(process, "'status' cannot show what this standby waits for: ")
        in_the_way.rmdir()
        (host.program.state_dir / "engine/issuer.password").unlink()
        assert "cannot find out who" in log + log_until(process, "standby, pid ")
        log_until(process, "the password of the engine is missing")
        while "the password of the engine is missing" not in in_the_way.read_text():
            pass
        process.send_signal(signal.SIGHUP)  # each look reads the settings again
        process.terminate()
        assert process.wait() == 0
    assert (host.program.state_dir / "standby.json").exists()


def test_standby_that_a_person_promotes_meanwhile_becomes_the_issuer(host: StandbyHost) -> None:
    node = Node(host)
    EnginePasswords(host.program.state_dir).make()
    with running(host.program) as process:
        log_until(process, "cannot find out who holds the engine's lease")
        found = host.program.run("promote")
        assert found.exit_code == 0, found
        log_until(process, "started, pid")
        process.terminate()
        assert process.wait() == 0
    assert not node.is_standby
