"""An nginx beside a played agent: tests, configurations, and every way in which a reload can fail."""

from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.node.nginx.played_agent import PlayedAgent, playing
from wellkeeper_node import model
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import EndedError, RefusedError, ReloadError
from wellkeeper_node.nginx.agent import AgentNginx
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.factory import make_nginx

PASSED = model.Tested(True, "", 0.1)
WORDS = '2026/11/29 23:48:21 [emerg] 7#7: unknown directive "oops" in /n.conf:6\n'
DUMP = "nginx: [warn] old\n# configuration file /etc/nginx/nginx.conf:\nhttp { server { server_name a.example; } }\n"


@pytest.fixture
def agent(folder: Path) -> PlayedAgent:
    return PlayedAgent(folder)


@pytest.fixture
def nginx(agent: PlayedAgent, clock: FakeClock) -> AgentNginx:
    return AgentNginx(agent.folder, clock)


def test_agent_in_the_settings_is_used(folder: Path, clock: FakeClock) -> None:
    assert isinstance(make_nginx(Control(agent=folder), clock), AgentNginx)


async def test_running_nginx_is_proven_by_the_heartbeat(agent: PlayedAgent, nginx: AgentNginx) -> None:
    async with playing(agent):
        await nginx.prove()
    assert agent.asked == []


async def test_nginx_that_does_not_run_is_an_error(agent: PlayedAgent, nginx: AgentNginx) -> None:
    agent.nginx = "0 0 0"
    async with playing(agent):
        with pytest.raises(ReloadError, match="nginx does not run in its container: its agent sees no nginx master"):
            await nginx.prove()


async def test_nginx_that_has_started_since_the_last_heartbeat_is_proven(agent: PlayedAgent) -> None:
    agent.nginx = "0 0 0"
    agent.beat()
    agent.nginx = "1 2 0"
    async with playing(agent):
        await AgentNginx(agent.folder, SystemClock()).prove()


async def test_test_has_the_words_and_the_time_of_nginx(agent: PlayedAgent, nginx: AgentNginx) -> None:
    agent.said["test"] = [("ran 0 250", "nginx: [warn] old\nnginx: test is successful\n"), ("ran 1 3", WORDS)]
    async with playing(agent):
        assert await nginx.test() == model.Tested(True, "[warn] old", 2.5)
        assert await nginx.test() == model.Tested(False, '[emerg] unknown directive "oops" in /n.conf:6', 0.03)


async def test_reload_returns_the_number_of_workers_that_finish_requests(agent: PlayedAgent, nginx: AgentNginx) -> None:
    agent.said["reload"] = [("reloaded 3 14", "")]
    async with playing(agent):
        assert await nginx.reload(PASSED) == 3


async def test_refused_reload_has_the_words_of_nginx(agent: PlayedAgent, nginx: AgentNginx) -> None:
    agent.said["reload"] = [("refused 1 310", WORDS + WORDS), ("refused 0 300", "nginx: test is successful\n")]
    async with playing(agent):
        with pytest.raises(RefusedError) as raised:
            await nginx.reload(PASSED)
        assert raised.value.lines == (
            "nginx did not load the new configuration within 3.1 s and keeps the old certificates",
            '[emerg] unknown directive "oops" in /n.conf:6',
            "Fix it, then run 'wellkeeper renew' again.",
        )
        with pytest.raises(RefusedError, match=r"look for \[emerg\] lines in the log of nginx's container"):
            await nginx.reload(PASSED)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("workerless 0 310", r"has no workers left .*: \[emerg\] unknown directive .* restart nginx's container"),
        ("absent 0 0", "nginx does not run in its container"),
        ("denied 7 0", r"cannot reload nginx: its agent may not signal nginx \(process 7 of its container\)"),
        ("replaced 7 20", "ended or was replaced during the reload: its master was process 7"),
        ("lingering 8 1300", "old ones still accept .*: process 8 of nginx's container"),
        ("unwritten 0 3", "cannot write its answer. Make room"),
        ("killed 137 12000", "did not answer: .* was killed: by the agent after 120 s"),
        ("surprised 0 0", "cannot understand the answer of nginx's agent: .surprised"),
    ],
)
async def test_failed_reload_is_explained(agent: PlayedAgent, nginx: AgentNginx, status: str, words: str) -> None:
    agent.said["reload"] = [(status, WORDS)]
    async with playing(agent):
        with pytest.raises(ReloadError, match=words):
            await nginx.reload(PASSED)


@pytest.mark.parametrize("status", ["workerless 0 310", "replaced 7 20", "interrupted 0 0"])
async def test_nginx_that_ends_during_a_reload_is_an_error_of_its_own(
    agent: PlayedAgent, nginx: AgentNginx, status: str
) -> None:
    agent.said["reload"] = [(status, WORDS)] * 2
    async with playing(agent):
        with pytest.raises(EndedError):
            await nginx.reload(PASSED)


async def test_finishing_workers_are_those_of_the_heartbeat(agent: PlayedAgent, nginx: AgentNginx) -> None:
    agent.nginx = "1 2 5"
    async with playing(agent):
        assert await nginx.finishing() == 5
    assert await nginx.finishing() == 0  # the agent has ended


async def test_configuration_is_what_nginx_shows(agent: PlayedAgent, nginx: AgentNginx) -> None:
    agent.said["show"] = [("ran 0 5", DUMP)]
    async with playing(agent):
        found = await nginx.configuration()
    assert (found.files, found.warnings) == (("/etc/nginx/nginx.conf",), ("[warn] old",))
    assert [one.arguments for one in found.walk() if one.name == "server_name"] == [("a.example",)]


@pytest.mark.parametrize(
    ("status", "output", "words"),
    [
        ("ran 1 5", WORDS, r"cannot read nginx's configuration \('nginx -T'\): \[emerg\] unknown directive"),
        ("ran 0 5", "", "'nginx -T' printed no configuration file"),
        ("cut 141 50", "# configuration file /n.conf:\n", "prints more than 64 MiB"),
    ],
)
async def test_configuration_that_cannot_be_shown_is_an_error(
    agent: PlayedAgent, nginx: AgentNginx, status: str, output: str, words: str
) -> None:
    agent.said["show"] = [(status, output)]
    async with playing(agent):
        with pytest.raises(ReloadError, match=words):
            await nginx.servers()


@pytest.mark.parametrize(
    ("directive", "unseen"),
    [
        ("ssl_certificate {folder}/seen.pem;", ""),
        ("ssl_certificate seen.pem;", ""),
        ("ssl_certificate $ssl_server_name.pem;", ""),
        ("ssl_certificate_key data:$key;", ""),
        ("ssl_certificate_key engine:pkcs11:key;", ""),
        ("ssl_certificate_cache off;", ""),
        ("ssl_certificate_key /container/key.pem;", "/container/key.pem"),
        ("location / {{ proxy_ssl_certificate unseen.pem; }}", "unseen.pem"),
    ],
)
async def test_folder_may_be_used_by_a_certificate_that_only_the_container_has(
    agent: PlayedAgent, nginx: AgentNginx, directive: str, unseen: str
) -> None:
    """It may be a link to any version, and then that must not be removed."""
    (agent.folder / "seen.pem").touch()
    server = f"http {{ server {{ {directive.format(folder=agent.folder)} }} }}"
    agent.said["show"] = [("ran 0 5", f"# configuration file {agent.folder}/nginx.conf:\n{server}\n")]
    async with playing(agent):
        if not unseen:
            assert await nginx.named([str(agent.folder / "v1")]) == {}
            return
        with pytest.raises(ReloadError) as raised:
            await nginx.named([str(agent.folder / "v1")])
    assert raised.value.why == f"{unseen} ({agent.folder}/nginx.conf:1) is not visible here"
    assert raised.value.remedy.startswith("Mount the certificates at the same path ")
