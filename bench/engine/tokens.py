"""Measurement: publish a token until 100 nodes hold it, through relay and engine, and through the engine alone."""

import statistics
from pathlib import Path
from typing import Final

from bench.figures import Plan, Result, Series, Tell
from bench.fleet.nodes import RunningNodes, how, running_nodes
from bench.fleet.tokens import published
from stand.key_value import KeyValueServer
from wellkeeper_node.bundles.engine_access import EngineAccess

NAME: Final = "engine-tokens"
_NODES: Final = 100
_ROUNDS: Final = 3
_EACH: Final = 3
_GROUP: Final = f"publish to {_NODES} nodes"


async def measure(_plan: Plan, folder: Path, tell: Tell) -> Result:
    """Measure with both, then stop the relay."""
    series = []
    tell(f"{NAME}: starting {_NODES} nodes")
    async with KeyValueServer("valkey", folder / "engine") as server:
        access = EngineAccess(f"redis://127.0.0.1:{server.port}", "", "")
        async with running_nodes(folder / "nodes", _NODES, engine=access) as nodes:
            series.append(await _series(nodes, "relay and engine", tell))
            await nodes.relay.process.stop()
            series.append(await _series(nodes, "engine alone", tell))
    note = (
        f"The median of {_EACH} tokens per round: until every node's agent has given it to its responder and read it "
        f"back through nginx, and the issuer has their signed reports. {how(_NODES)}, which follow both. "
        "`fleet-tokens` has the same with a relay alone. The first token after the relay was stopped is not counted."
    )
    return Result(NAME, "Publishing through an engine", tuple(series), (), (note,))


async def _series(nodes: RunningNodes, name: str, tell: Tell) -> Series:
    await published(nodes)
    values = []
    for number in range(_ROUNDS):
        tell(f"{NAME}: {name}, round {number + 1} of {_ROUNDS}")
        values.append(statistics.median([await published(nodes) for _ in range(_EACH)]) * 1e3)
    return Series(_GROUP, name, "ms", tuple(values))
