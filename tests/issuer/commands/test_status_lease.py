"""status: who holds the engine's lease, and what a standby waits for."""

from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from tests.fakes import FakeClock
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.standbys import FLEET, StandbyHost
from tests.issuer.commands.test_run_standby import ENGINE
from tests.json_docs import assert_documented
from wellkeeper_issuer.assembly.leases import Lease
from wellkeeper_issuer.commands.status_issuers import Issuers
from wellkeeper_issuer.outside.keys.engine_passwords import EnginePasswords
from wellkeeper_issuer.outside.state.standby import Standby, Watch, read_watch, write_watch
from wellkeeper_node.clock import SystemClock

THERE: Final = Lease("web1 pid 7 a")
HERE: Final = Lease("web1 pid 7 a", is_here=True)


def test_standby_shows_who_has_the_lease_and_what_it_waits_for(clock: FakeClock) -> None:
    standby = Standby("web1", clock.now())
    watch = Watch(clock.now(), "the issuer holds the engine's lease: web1 pid 7", is_expected=True)
    issuers = Issuers(standby, lease=THERE, watch=watch)
    assert list(issuers.after(["Next: sudo wellkeeper renew"])) == [
        "another issuer holds the engine's lease: web1 pid 7",
        standby.line,
        "waiting to take over: the issuer holds the engine's lease: web1 pid 7",
    ]
    assert issuers.problems() == []


def test_check_of_a_standby_fails_while_something_prevents_a_takeover(clock: FakeClock) -> None:
    watch = Watch(clock.now(), "the agent does not run", is_expected=False)
    issuers = Issuers(Standby("web1", clock.now()), lease=THERE, watch=watch)
    assert issuers.problems() == ["this standby does not take over: the agent does not run"]


@pytest.mark.parametrize(
    ("lease", "problems"),
    [
        (HERE, []),
        (Lease(), []),
        (Lease(failure="refused"), []),
        (THERE, ["this issuer does nothing: another issuer holds the engine's lease: web1 pid 7"]),
    ],
    ids=["this one", "no issuer", "unknown", "another one"],
)
def test_check_of_an_issuer_fails_while_another_has_the_lease(lease: Lease, problems: list[str]) -> None:
    assert Issuers(lease=lease).problems() == problems


def test_status_of_a_standby_without_a_daemon_says_that_it_does_not_take_over(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = StandbyHost(program, tmp_path, monkeypatch)
    host.restore()
    (program.state_dir / "standby.json").unlink()
    host.back_up(f"{FLEET}\n{ENGINE}")
    host.restore()
    EnginePasswords(program.state_dir).make()
    *_, lease, standby, why, following = program.run("status").out.splitlines()
    assert lease.startswith("cannot find out who holds the engine's lease: ")
    assert standby.startswith("this host is a standby for the issuer on ")
    assert why == "'wellkeeper run' is not running here, so this standby will not take over"
    assert following == "Next: sudo wellkeeper promote, if that issuer is lost"
    assert "this host is a standby" in program.run("reload").err
    write_watch(program.state_dir, Watch(SystemClock().now(), "why", is_expected=False))
    found = program.run("status", "--json").json()
    assert_documented("status", found)
    assert (found["lease"]["holder"], found["takeover"]["why"]) == (None, "why")
    assert "this standby does not take over: why\n" in program.run("status", "--check").err
    reloaded = program.run("reload")
    assert (reloaded.exit_code, reloaded.out.startswith(f"read {program.config}: ")) == (0, True), reloaded
    assert "the daemon of this standby reads it again every five seconds" in reloaded.out
    assert_documented("reload", program.run("reload", "--json").json())


def test_look_of_a_daemon_that_ended_is_not_shown(folder: Path, clock: FakeClock) -> None:
    watch = Watch(clock.now().replace(microsecond=0), "why", is_expected=True)
    write_watch(folder, watch)
    assert read_watch(folder, clock.now()) == watch
    assert read_watch(folder, clock.now() + timedelta(minutes=2)) is None
    (folder / ".watch.json").write_text("{}")
    assert read_watch(folder, clock.now()) is None
