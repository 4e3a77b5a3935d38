"""The stores that a node follows: it reports them, and one that does not know engines needs none."""

from pathlib import Path

from tests.node.agent.made import MadeNode, is_served, virtually


def test_report_names_what_the_node_follows(folder: Path) -> None:
    async def work() -> None:
        node = MadeNode(folder, relays=2)
        async with node.running():
            node.links[1].kind = "engine"
            await node.reported(lambda one: one.follows == ("relay", "engine"), relay=1)
            node.relays[0].is_up = False
            await node.reported(lambda one: one.follows == ("engine",), relay=1)

    virtually(work)


def test_node_that_does_not_know_engines_gets_everything_by_the_relay(folder: Path) -> None:
    async def work() -> None:
        node = MadeNode(folder)
        await node.issuer.enrol(engine="X25519-HKDF-SHA256-AES-256-GCM.c2VhbGVk")
        async with node.running():
            await node.issuer.deliver(1)
            report = await node.reported(lambda one: is_served(1, one))
        assert report.follows == ("relay",)

    virtually(work)
