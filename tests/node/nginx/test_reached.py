"""The way to nginx, as found now: by its process, or by a heartbeat of the agent."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.node.nginx.masters import fake_master
from tests.node.nginx.played_agent import PlayedAgent, playing
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.reached import Reached, reach


@pytest.mark.parametrize(
    ("control", "words"),
    [
        (Control(), "reached on this host (process {})"),
        (
            Control(test="reload"),
            "reached through its processes alone (process {}); only a reload tests its configuration",
        ),
    ],
    ids=["local", "shared"],
)
async def test_master_is_looked_for(folder: Path, clock: FakeClock, control: Control, words: str) -> None:
    async with fake_master(folder) as master:
        found = await reach(replace(control, pid_file=master.pid_file), clock)
        assert found == Reached(control.way, master.process.pid)
        assert str(found) == f"nginx: {words.format(master.process.pid)}"
    gone = await reach(replace(control, pid_file=master.pid_file), clock)
    assert (gone.way, gone.master) == (control.way, None)
    assert str(gone).startswith(f"nginx: not {words.partition(' (')[0]}: ")


async def test_heartbeat_of_the_agent_has_its_age(folder: Path) -> None:
    agent = PlayedAgent(folder)
    clock = SystemClock()
    at = clock.now().timestamp() - 3
    os.utime(agent.answers / "heartbeat", (at, at))
    found = await reach(Control(agent=folder), clock)
    assert found.heartbeat_age_seconds is not None
    assert 3 <= found.heartbeat_age_seconds < 60
    age = f"{found.heartbeat_age_seconds:.1f}"
    assert str(found) == (
        f"nginx: reached through the agent beside it (process 1, heartbeat {age} s ago)"
        "; what its workers may read is not checked"
    )
    assert found.to_json() == {"way": "agent", "master": 1, "heartbeat_age_seconds": float(age), "problem": None}


async def test_heartbeat_of_another_clock_counts_when_the_next_one_comes(folder: Path, clock: FakeClock) -> None:
    agent = PlayedAgent(folder)
    async with playing(agent):
        assert await reach(Control(agent=folder), clock) == Reached("agent", 1, 0.0)


async def test_agent_that_does_not_run_is_the_problem(folder: Path, clock: FakeClock) -> None:
    PlayedAgent(folder)
    found = await reach(Control(agent=folder), clock)
    assert str(found).startswith("nginx: not reached through the agent beside it: nginx's agent does not run: ")
    assert (found.to_json()["master"], found.to_json()["problem"]) == (None, found.problem)
