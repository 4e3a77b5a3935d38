"""The checks of an nginx in another container: what its agent sees, and what nothing here can check."""

from pathlib import Path

import pytest

from tests.node.nginx.played_agent import PlayedAgent, playing
from wellkeeper_node.doctor.nginx_process import check_loaded, check_process, check_signal
from wellkeeper_node.doctor.nginx_user import check_keys, check_reach
from wellkeeper_node.findings import Verdict
from wellkeeper_node.nginx.configuration import parse
from wellkeeper_node.nginx.control import Control


@pytest.mark.parametrize(
    ("nginx", "verdict", "cause"),
    [
        ("1 2 0", Verdict.OK, "nginx runs in another container with 2 workers, as the agent in {} says"),
        ("1 0 0", Verdict.FAIL, "nginx (process 1 of its container) has no workers, so it serves nothing"),
        ("1 2 9", Verdict.FAIL, "9 old workers of nginx still finish requests, so it is not reloaded"),
        ("0 0 0", Verdict.FAIL, "nginx does not run in its container: its agent sees no nginx master"),
    ],
)
async def test_process_is_what_the_agent_sees(folder: Path, nginx: str, verdict: Verdict, cause: str) -> None:
    agent = PlayedAgent(folder)
    agent.nginx = nginx
    agent.beat()
    async with playing(agent):
        (found,) = await check_process(Control(agent=folder), 8)
    assert (found.check, found.verdict, found.cause) == ("nginx-process", verdict, cause.format(folder))


async def test_what_nothing_here_can_check_is_said(folder: Path) -> None:
    control, configuration = Control(agent=folder), parse("# configuration file /n.conf:\n")
    found = [
        *await check_signal(control),
        *await check_loaded(configuration, control),
        *await check_keys(control, {}, None),
        *await check_reach(configuration, control),
    ]
    skipped = (Verdict.SKIPPED, "nginx runs in another container, where its agent does not check this")
    assert [(one.check, one.verdict, one.cause) for one in found] == [
        ("nginx-signal", Verdict.OK, "the agent beside nginx reloads it"),
        ("nginx-loaded", *skipped),
        ("nginx-keys", *skipped),
        ("responder-reach", *skipped),
    ]
