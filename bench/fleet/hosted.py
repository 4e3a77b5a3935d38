"""Run agents and responders of several nodes in one process: `python -m bench.fleet.hosted [OPTIONS] FOLDER:PORT…`.

They are the product's own classes with their own sockets, files and connections; only the interpreter is shared,
because two processes for each of a hundred nodes would need ten gibibytes. A FOLDER has the node's `node.toml`; PORT is
for direct pushes to its responder.
"""

import asyncio
import gc
import logging
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import click

from wellkeeper_client.trust_file import Trust
from wellkeeper_node import settings as node_settings
from wellkeeper_node.agent.build import read_fleet_keys, running_agent
from wellkeeper_responder.app import Responder
from wellkeeper_responder.clock import SystemClock
from wellkeeper_responder.settings import Settings, TcpAddress, UnixAddress


@click.command()
@click.option("--publishing-key", required=True)
@click.option("--account-thumbprint", required=True)
@click.argument("places", nargs=-1)
def main(publishing_key: str, account_thumbprint: str, places: Sequence[str]) -> None:
    """Run until SIGTERM."""
    logging.basicConfig(level=logging.WARNING)
    gc.freeze()  # as both programs do
    asyncio.run(_run(Trust((account_thumbprint,), (publishing_key,)), places))


async def _run(trust: Trust, places: Sequence[str]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with AsyncExitStack() as stack:
        tasks = []
        for place in places:
            folder, _, port = place.rpartition(":")
            await stack.enter_async_context(_responder(Path(folder), int(port), trust))
            settings = node_settings.read(Path(folder, "node.toml"))
            agent, links = await stack.enter_async_context(running_agent(settings, read_fleet_keys(settings)))
            tasks.append(asyncio.create_task(agent.run(links)))
        await stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _responder(folder: Path, port: int, trust: Trust) -> Responder:
    public = (UnixAddress(folder / "public.sock"),)
    control = (UnixAddress(folder / "control.sock"), TcpAddress("127.0.0.1", port))
    return Responder(Settings(trust, public, control), SystemClock())


if __name__ == "__main__":
    main()
