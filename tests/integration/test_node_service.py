"""`wellkeeper-node run` as a service: signals, settings that change, the service manager, and what it costs."""

import asyncio
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stand.processes import PROGRAMS
from tests.integration.node_hosts import LINEAGE, NODE, NodeHost, node_host, status_with
from tests.relay.messages import PUBLIC_FLEET_KEY
from tests.responder.messages import PUBLIC_KEY, THUMBPRINT
from tests.trust_files import trusting
from wellkeeper_client import services
from wellkeeper_client.trust_file import Trust
from wellkeeper_node.agent.keys import NodeKeys
from wellkeeper_node.agent.report import CertificateState, Report
from wellkeeper_node.process import Finished, run

pytestmark = pytest.mark.integration

NODE_PROGRAM = str(PROGRAMS / "wellkeeper-node")


async def ended(*arguments: str) -> Finished:
    return await run([NODE_PROGRAM, *arguments], 60)


def is_served(number: int) -> Callable[[Report], bool]:
    def check(report: Report) -> bool:
        found = report.certificates.get(LINEAGE)
        return found is not None and (found.number, found.state) == (number, CertificateState.SERVED)

    return check


def trust(host: NodeHost, *fleet_keys: str) -> Path:
    return trusting(host.folder / "trust", Trust((THUMBPRINT,), (PUBLIC_KEY,), fleet_keys))


async def said(log: Callable[[], str], words: str, times: int = 1) -> None:
    """Wait until the log has the words; the time-out of the test is the limit."""
    for _ in itertools.takewhile(lambda _: log().count(words) < times, itertools.count()):
        await asyncio.sleep(0.05)


def resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


async def test_changed_trust_file_is_taken_and_a_broken_one_is_not(folder: Path) -> None:
    async with node_host(folder) as host:
        trust(host, PUBLIC_KEY)
        async with host.agent() as agent:
            await host.issuer.deliver(1)
            await said(lambda: agent.log, "the key in 'kid' is not trusted")
            trust(host, PUBLIC_KEY, PUBLIC_FLEET_KEY)
            await host.issuer.report(is_served(1))
            (host.folder / "trust/trust.toml").write_text("broken")
            await said(lambda: agent.log, "the former values stay in force")
            (host.folder / "trust/trust.toml").unlink()
            await said(lambda: agent.log, "the former values stay in force", 2)
            await host.issuer.deliver(2)
            await host.issuer.report(is_served(2))


async def test_sighup_takes_good_settings_and_no_bad_ones(folder: Path) -> None:
    async with node_host(folder) as host, host.agent() as agent:
        path = agent.config_path
        text = path.read_text()
        for bad in (
            "nonsense = 1\n" + text,
            text.replace("/state", "/other"),
            f'certificates_group = "no-such"\n{text}',
        ):
            count = agent.log.count("the former values stay in force")
            path.write_text(bad)
            agent.process.signal(signal.SIGHUP)
            await said(lambda: agent.log, "the former values stay in force", count + 1)
        path.write_text(text.replace(f'"{NODE}"', '"web9"'))
        agent.process.signal(signal.SIGHUP)
        await said(lambda: agent.log, "settings and trust file read again")
        await said(lambda: agent.log, "no contact with the relay")
        path.write_text(text)
        agent.process.signal(signal.SIGHUP)
        await said(lambda: agent.log, "settings and trust file read again", 2)
        await host.issuer.deliver(1)
        await host.issuer.report(is_served(1))


async def test_service_manager_learns_of_start_reload_life_and_stop(folder: Path) -> None:
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.bind(str(folder / "notify"))
    notices.setblocking(False)

    async def received(words: str) -> None:
        while words not in (await asyncio.get_running_loop().sock_recv(notices, 4096)).decode():
            pass

    environment = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "400000"}
    async with node_host(folder) as host:
        async with host.agent(environment=environment) as agent:
            await received("READY=1")
            await received("WATCHDOG=1")
            agent.process.signal(signal.SIGHUP)
            await received("RELOADING=1")
            await received("READY=1")
        await received("STOPPING=1")
        assert agent.process.return_code == 0
    notices.close()


async def test_second_agent_and_missing_pieces_are_errors_that_say_what_to_do(folder: Path) -> None:
    async with node_host(folder) as host, host.agent() as agent:
        config = ("run", "--config", str(agent.config_path))
        second = await ended(*config)
        assert (second.exit_code, "another process has held the lock" in second.output) == (1, True), second
        await agent.process.stop()
        trust(host)
        for path, words in (
            (None, "has no fleet_keys, so no issuer is trusted"),
            (host.folder / "trust/trust.toml", "does not exist"),
            (agent.config_path, "does not exist"),
        ):
            if path is not None:
                path.unlink()
            failed = await ended(*config)
            assert failed.exit_code == (2 if path == agent.config_path else 1), failed
            assert words in failed.output
        assert (await ended("status", "--config", str(agent.config_path))).exit_code == 1
    broken = trusting(folder / "trust")
    broken.write_text("broken")
    agent.config_path.write_text(host.settings)
    failed = await ended(*config)
    assert (failed.exit_code, f"{broken}:1: not valid TOML" in failed.output) == (1, True), failed


async def test_status_shows_what_is_missing(folder: Path) -> None:
    async with node_host(folder) as host:
        agent = host.agent()
        config = ("--config", str(agent.config_path))
        never = await ended("status", *config)
        assert (never.exit_code, "wellkeeper-node has never run here" in never.output) == (1, True), never
        never = await ended("status", "--json", *config)
        assert json.loads(never.output)["report"] is None
        async with agent:
            await host.issuer.deliver(1)
            await host.issuer.report(is_served(1))
            assert (await status_with(lambda shown: "web: served" in shown, agent)).exit_code == 0
            await host.responder.process.stop()
            await host.issuer.report(lambda one: bool(one.responder.error))
            assert (await status_with(lambda shown: "cannot reach the responder" in shown, agent)).exit_code == 1
        found = json.loads((agent.state_dir / "status.json").read_text())
        found["report"]["clock"] -= 3600
        found["report"]["certificates"]["web"] |= {"state": "refused", "cause": "no", "remedy": "Fix it."}
        (agent.state_dir / "status.json").write_text(json.dumps(found))
        shown = await ended("status", *config)
        assert f"Read {services.log('wellkeeper-node')}." in shown.output
        assert "web: refused: no Fix it." in shown.output


async def test_agent_never_loads_acme_and_stays_below_64_mebibytes(folder: Path) -> None:
    code = (
        "import sys; from wellkeeper_node.agent import service; from wellkeeper_node import __main__;"
        "print([name for name in sys.modules if name.startswith(('acme', 'josepy', 'wellkeeper_issuer', 'rich'))])"
    )
    assert (await run([sys.executable, "-c", code], 60)).output.strip() == "[]"
    async with node_host(folder) as host, host.agent() as agent:
        await host.issuer.deliver(1)
        await host.issuer.report(is_served(1))
        # The measurement of coverage needs memory of its own.
        is_measured = any(name.startswith("COVERAGE_PROCESS") for name in os.environ)
        assert resident_kib(agent.process.pid) < (96 if is_measured else 64) * 1024


async def test_agent_without_keys_or_a_readable_manifest_does_not_start(folder: Path) -> None:
    async with node_host(folder) as host:
        agent = host.agent()
        (agent.state_dir / "manifest.jws").mkdir()
        failed = await ended("run", "--config", str(agent.config_path))
        assert (failed.exit_code, "manifest.jws\n  Is a directory" in failed.output) == (1, True), failed
        for name in ("signing_key.pem", "sealing_key.pem"):
            (agent.state_dir / name).unlink()
        failed = await ended("run", "--config", str(agent.config_path))
        assert (failed.exit_code, "cannot read the key of this node" in failed.output) == (1, True), failed
        NodeKeys(agent.state_dir).make()
