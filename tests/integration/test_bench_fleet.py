"""The measurements of several nodes, as small as they can be: they end, and each figure has a value."""

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from bench.figures import QUICK, Result
from bench.fleet import large, many, newcomer, tokens
from bench.fleet.nodes import running_nodes

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("most_processes", [2, 0], ids=["a-process-each", "shared-processes"])
async def test_token_is_published_in_every_way(folder: Path, most_processes: int) -> None:
    async with running_nodes(folder, 2, most_processes) as nodes, AsyncExitStack() as stack:
        assert len(nodes.agents) == most_processes
        found = await tokens.one_round(nodes, await tokens.ways_of(stack, nodes))
    assert found.keys() == {tokens.RELAY, tokens.PUSH, tokens.READ_BACK}
    assert all(milliseconds > 0 for milliseconds in found.values())


async def test_new_node_gets_all_certificates(folder: Path) -> None:
    result = await newcomer.measure(replace(QUICK, bulk_count=3, bulk_rounds=1), folder, _ignore)
    assert _shape(result) == [("3 certificates for a new node", "wellkeeper-node", 1)]


async def test_certificates_are_sealed_for_twenty_nodes(folder: Path) -> None:
    result = await many.measure(replace(QUICK, lineage_count=10), folder, _ignore)
    assert {group for group, _, _ in _shape(result)} == {"10 certificates, 20 nodes"}
    assert ("10 certificates, 20 nodes", "a node serves all", 1) in _shape(result)


async def test_played_nodes_connect_hold_a_token_and_get_another_manifest(folder: Path) -> None:
    plan = replace(QUICK, node_count=3, lineage_count=4, bulk_rounds=1, idle_seconds=1)
    result = await large.measure(plan, folder, _ignore)
    assert {group for group, _, _ in _shape(result)} == {"3 played nodes, 12 certificates"}
    found = {one.name: one.median for one in result.series}
    assert found["connections of nodes"] >= 3
    assert found["requests that the relay refused"] == 0
    assert found["a token is held by all, relay to nodes and back"] > 0


def _shape(result: Result) -> list[tuple[str, str, int]]:
    return [(one.group, one.name, len(one.values)) for one in result.series]


def _ignore(_text: str) -> None:
    return
