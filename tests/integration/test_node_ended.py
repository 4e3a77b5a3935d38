"""SIGTERM ends an agent in each of its phases: nothing is half-done, and the next one ends with the newest version."""

import asyncio
import contextlib
import itertools
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from stand.node import NodeProcess
from tests.fakes_deliver import dns
from tests.integration.node_hosts import LINEAGE, NAME, NodeHost, node_host
from tests.integration.observed import tokens
from tests.integration.test_node_disk_full import leftovers
from tests.integration.test_node_service import is_served
from tests.node.agent.made import JTI, holds
from tests.responder.messages import TOKEN
from wellkeeper_node.agent.report import CertificateState
from wellkeeper_node.certificates import reading

pytestmark = pytest.mark.integration

# For SIGTERM to arrive meanwhile; the agent ends once the call has returned.
DELAY: Final = "3s"

Reached = Callable[[], Awaitable[object]]
Phase = Callable[[NodeHost, AsyncExitStack], Awaitable[tuple[NodeProcess, Reached]]]


@asynccontextmanager
async def silent() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Yield an address that takes connections and never answers, and the event of the first one."""
    reached, writers = asyncio.Event(), []

    def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        reached.set()

    server = await asyncio.start_server(accept, "127.0.0.1")
    try:
        yield "{}:{}".format(*server.sockets[0].getsockname()), reached
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


async def publishing(host: NodeHost, stack: AsyncExitStack) -> tuple[NodeProcess, Reached]:
    address, reached = await stack.enter_async_context(silent())
    agent = host.agent()
    changed = re.sub("(http_addresses = ).*", rf'\1["{address}"]', agent.config_path.read_text())
    agent.config_path.write_text(changed)
    return agent, reached.wait


async def picking_up(host: NodeHost, stack: AsyncExitStack) -> tuple[NodeProcess, Reached]:
    key = f"bundle/{LINEAGE}"
    known = await host.issuer.relay.get(key)
    assert known is not None
    await host.issuer.relay.delete(key, expected=known.version)
    stack.push_async_callback(host.issuer.fill)

    def is_waiting(found: Mapping[str, object]) -> bool:
        return found.get("state") == CertificateState.WAITING

    agent = host.agent()
    return agent, lambda: until_shown(agent, is_waiting)


async def installing(host: NodeHost, _: AsyncExitStack) -> tuple[NodeProcess, Reached]:
    leaf = reading.read_certificate(host.issuer.pairs[0].chain_pem)
    version = f"{leaf.not_before:%Y%m%dT%H%M%SZ}-{leaf.fingerprint_sha256[:8]}"
    begun = host.folder / f"certificates/archive/{LINEAGE}/.tmp-{version}"
    injected = f"inject=write:delay_enter={DELAY}:when=1"
    strace = ("strace", "-f", "-qq", "-o", "/dev/null", "-P", str(begun / "fullchain.pem"), "-e", injected)
    return host.agent(entering=strace), lambda: until_there(begun)


async def asking_nginx(host: NodeHost, _: AsyncExitStack) -> tuple[NodeProcess, Reached]:
    agent = host.agent()
    reached, argv = host.folder / "reached", str(list(host.nginx.argv()))
    command = json.dumps(["sh", str(script(host, 'case "$*" in *-t*) {} ;; esac; exec "$@"')), *host.nginx.argv()])
    agent.config_path.write_text(agent.config_path.read_text().replace(argv, command))
    assert command in agent.config_path.read_text()
    return agent, lambda: until_there(reached)


async def reloading(host: NodeHost, _: AsyncExitStack) -> tuple[NodeProcess, Reached]:
    command = json.dumps(["sh", str(script(host, "{}"))])
    return host.agent(f"reload_command = {command}\n"), lambda: until_there(host.folder / "reached")


async def verifying(host: NodeHost, stack: AsyncExitStack) -> tuple[NodeProcess, Reached]:
    """Stop nginx's new workers: they have loaded the certificate, and answer no handshake until they continue."""
    master = int(host.nginx.pid_path.read_text())
    workers = f"/proc/{master}/task/{master}/children"
    path = host.folder / "reload"
    path.write_text(
        f"before=$(cat {workers}); kill -HUP {master}\n"
        "for one in $before; do while [ -e /proc/$one ]; do sleep 0.05; done; done\n"
        f"kill -STOP $(cat {workers}); touch {host.folder}/reached\n"
    )
    stack.callback(go_on, master)
    agent = host.agent(f"reload_command = {json.dumps(['sh', str(path)])}\n")
    return agent, lambda: until_there(host.folder / "reached")


async def reporting(host: NodeHost, stack: AsyncExitStack) -> tuple[NodeProcess, Reached]:
    relay = host.relay.process.pid
    path = host.folder / "reload"
    path.write_text(f"kill -STOP {relay}; kill -HUP {host.nginx.pid_path.read_text()}")
    stack.callback(os.kill, relay, signal.SIGCONT)
    agent = host.agent(f"reload_command = {json.dumps(['sh', str(path)])}\n")

    def is_shown_as_served(found: Mapping[str, object]) -> bool:
        return found.get("state") == CertificateState.SERVED

    return agent, lambda: until_shown(agent, is_shown_as_served)


PHASES: Final[dict[str, Phase]] = {
    one.__name__: one for one in (publishing, picking_up, installing, asking_nginx, reloading, verifying, reporting)
}


def script(host: NodeHost, text: str) -> Path:
    """Return a shell script that says that it was reached, and then waits, where the text has braces."""
    path = host.folder / "script"
    path.write_text(text.format(f"touch {host.folder}/reached; exec sleep 60"))
    return path


def go_on(master: int) -> None:
    """Let nginx's workers continue."""
    for one in children(master):
        os.kill(one, signal.SIGCONT)


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def until_there(path: Path) -> None:
    for _ in itertools.takewhile(lambda _: not path.exists(), itertools.count()):
        await asyncio.sleep(0.01)


async def until_shown(agent: NodeProcess, is_wanted: Callable[[Mapping[str, object]], bool]) -> None:
    """Wait until the agent has written this about the certificate for `wellkeeper-node status`."""
    while True:
        await asyncio.sleep(0.01)
        with contextlib.suppress(FileNotFoundError):
            found = json.loads((agent.state_dir / "status.json").read_text())
            if is_wanted(found["report"]["certificates"].get(LINEAGE, {})):
                return


async def end(agent: NodeProcess) -> None:
    """Send SIGTERM to the agent itself, and wait until it has ended by itself."""
    pid = agent.process.pid
    os.kill(children(pid)[0] if agent.process.argv[0] == "strace" else pid, signal.SIGTERM)
    assert await agent.process.wait() == 0, agent.process.tail()


@asynccontextmanager
async def served_meanwhile(host: NodeHost) -> AsyncIterator[set[str]]:
    """Make handshakes, each of which must succeed, and yield the leaves that are served."""
    leaves = set[str]()

    async def connect() -> None:
        while True:
            leaves.add(await host.served())

    task = asyncio.create_task(connect())
    try:
        yield leaves
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("phase", PHASES.values(), ids=PHASES)
async def test_agent_ended_in_any_phase_leaves_nothing_half_done(folder: Path, phase: Phase) -> None:
    async with node_host(folder) as host, served_meanwhile(host) as leaves:
        former = await host.served()
        leaf = await host.issuer.deliver(1, host.issuer.ca.pair(dns(NAME)))
        await host.issuer.publish(TOKEN, JTI)
        async with AsyncExitStack() as stack:
            agent, reached = await phase(host, stack)
            async with agent:
                await reached()
                await end(agent)
        async with host.agent() as agent:
            await host.issuer.report(lambda one: is_served(1)(one) and holds(one))
            assert await host.served() == leaf
            await host.issuer.withdraw(TOKEN, JTI)
            await host.issuer.report(lambda one: JTI not in one.publications)
            while await tokens(host.responder):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        assert "Traceback" not in agent.log
        assert leftovers(host) == []
    assert leaves == {former, leaf}
