"""Measurement: publish a token until all N nodes hold it and the issuer knows, beside pushing it to N responders."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from bench.figures import Plan, Result, Series, Tell, find, ratio_at_most
from bench.fleet.issuer import until
from bench.fleet.nodes import RunningNodes, how, running_nodes
from bench.responder import new_tokens
from stand.processes import StandError
from wellkeeper_issuer.fleet.fleet import Fleet
from wellkeeper_issuer.fleet.relayed import RelayedResponder
from wellkeeper_issuer.obtain.publish import ReadBacks
from wellkeeper_node.agent.progress import LoggedProgress
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.model import Answer, Identifier, IdentifierType, Node
from wellkeeper_node.probes.probes import NodeProbes
from wellkeeper_node.responders.client import Fetches, ResponderClient
from wellkeeper_node.responders.connection import Connection
from wellkeeper_node.responders.publications import AllResponders

NAME: Final = "fleet-tokens"
RELAY: Final = "relay"
PUSH: Final = "direct push"
READ_BACK: Final = "direct push and read-back"
_NODES: Final = (3, 20, 100)
# Published in each round; the round's value is the median.
_EACH: Final = 5
# So that all have done what follows a withdrawal: the issuer records reports after a second.
_QUIET_SECONDS: Final = 1.5

_Way = Callable[[Answer], Awaitable[float]]


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Measure all ways in each round, for each number of nodes."""
    series: list[Series] = []
    for count in _NODES:
        tell(f"fleet-tokens: starting {count} nodes")
        async with running_nodes(folder / str(count), count) as nodes, AsyncExitStack() as stack:
            ways = await ways_of(stack, nodes)
            await one_round(nodes, ways)
            rounds = []
            for number in range(plan.rounds):
                tell(f"fleet-tokens: {count} nodes, round {number + 1} of {plan.rounds}")
                rounds.append(await one_round(nodes, ways))
        group = _group(count)
        series += [Series(group, name, "ms", tuple(found[name] for found in rounds)) for name in ways]
    goals = tuple(
        ratio_at_most(find(series, _group(count), RELAY), find(series, _group(count), PUSH), 5) for count in _NODES
    )
    note = (
        f"One token, published {_EACH} times per round in each way; the value of a round is the median. Relay: until "
        "every node's agent has given it to its responder and read it back through nginx, and the issuer has their "
        "signed reports. Direct push: until N responders have accepted it over HTTP, as the issuer does it without a "
        f"relay; and the same with its read-backs. {'; '.join(map(how, _NODES))}. One nginx has a port for each node. "
        "Issuer, relay, nodes and nginx share the cores of one machine; those of a real fleet do not."
    )
    return Result(NAME, "Publishing a token to N nodes", tuple(series), goals, (note,))


def _group(count: int) -> str:
    return f"publish to {count} nodes"


class _Kept:
    """A connection that stays open, as that of a daemon, while nothing follows the responder between two uses."""

    def __init__(self, client: Connection) -> None:
        self._client = client
        self.node = client.node

    async def close(self) -> None:
        """Keep it."""

    async def put(self, token: str, message: str) -> str:
        return await self._client.put(token, message)

    async def delete(self, token: str, message: str) -> bool:
        return await self._client.delete(token, message)

    async def fetches(self, after: int, *, wait_seconds: int) -> Fetches:
        return await self._client.fetches(after, wait_seconds=wait_seconds)


async def ways_of(stack: AsyncExitStack, nodes: RunningNodes) -> dict[str, _Way]:
    """Return how to publish a token, by name; the connections are closed with the stack."""
    clock, key = SystemClock(), nodes.signer.key
    direct = [ResponderClient(one.name, f"{one.control[0]}:{one.control[1]}", key, clock) for one in nodes.places]
    for client in direct:
        stack.push_async_callback(client.close)
    own = [Node(one.name, f"unix:{one.control_socket}", (one.http,), (one.https,)) for one in nodes.places]
    reading = ReadBacks(own, NodeProbes(), LoggedProgress(), None)

    async def seconds(reading: ReadBacks | None, answer: Answer) -> float:
        async with AllResponders([_Kept(one) for one in direct], key, clock) as responders:
            return await _seconds(responders, reading, answer)

    return {
        RELAY: lambda answer: _through(nodes, answer),
        PUSH: lambda answer: seconds(None, answer),
        READ_BACK: lambda answer: seconds(reading, answer),
    }


async def _through(nodes: RunningNodes, answer: Answer) -> float:
    """Return the seconds until all nodes hold the answer, by what they follow."""
    through = nodes.fleet.responder
    async with AllResponders([_Kept(through)], nodes.signer.key, SystemClock()) as responders:
        return await _seconds(responders, through, answer)


async def published(nodes: RunningNodes) -> float:
    """Publish a token through what the nodes follow, withdraw it, and return the seconds until all held it."""
    seconds = await _through(nodes, _new_answer(nodes))
    await _withdrawn(nodes)
    return seconds


def _new_answer(nodes: RunningNodes) -> Answer:
    return Answer(new_tokens(1)[0], nodes.signer.thumbprint, Identifier(IdentifierType.DNS, "www.bench.test"))


async def _withdrawn(nodes: RunningNodes) -> None:
    await until(nodes.fleet, "every node has withdrawn the token", lambda: _are_empty(nodes.fleet))
    await asyncio.sleep(_QUIET_SECONDS)


async def _seconds(responders: AllResponders, reading: ReadBacks | RelayedResponder | None, answer: Answer) -> float:
    """Return the time until it is published and nothing is wrong. Raises StandError."""
    began = time.perf_counter()
    async with responders.publish([answer]):
        failures = await reading.failures([answer]) if reading else ()
        seconds = time.perf_counter() - began
    if failures:
        raise StandError(f"{len(failures)} read-backs failed, the first at {failures[0].node}: {failures[0].cause}")
    return seconds


async def one_round(nodes: RunningNodes, ways: dict[str, _Way]) -> dict[str, float]:
    """Return the milliseconds of each way; they alternate."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(_EACH):
        for name, way in ways.items():
            found[name].append(await way(_new_answer(nodes)) * 1e3)
            await _withdrawn(nodes)
    return {name: statistics.median(values) for name, values in found.items()}


def _are_empty(fleet: Fleet) -> bool:
    return not any(seen.report.publications for seen in fleet.reports.last.values())
