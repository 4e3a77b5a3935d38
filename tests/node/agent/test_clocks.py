"""The clock of a node beside those of its relays."""

from pathlib import Path

import pytest

from tests.node.agent.made import MadeNode, virtually
from wellkeeper_node.agent.clocks import concern_about, nearest


@pytest.mark.parametrize(
    ("found", "expected"), [([], None), ([None], None), ([None, -5.0, 3600.0], -5.0), ([3600.0, 3601.0], 3600.0)]
)
def test_relay_whose_clock_is_nearest_counts(found: list[float | None], expected: float | None) -> None:
    assert nearest(found) == expected


@pytest.mark.parametrize(
    ("ahead_seconds", "words"),
    [
        (None, None),
        (59.0, None),
        (-59.0, None),
        (600.0, "the clock of this node is 600 s ahead of the relay's; synchronize the clocks by NTP"),
        (-3600.0, "the clock of this node is 3600 s behind the relay's; synchronize the clocks by NTP"),
    ],
)
def test_clock_that_is_off_by_more_than_a_minute_is_a_concern(ahead_seconds: float | None, words: str | None) -> None:
    assert concern_about(ahead_seconds) == words


def test_clock_is_named_in_reports_beside_other_concerns(folder: Path) -> None:
    node = MadeNode(folder)

    async def work() -> None:
        node.ahead_seconds = 600.0
        async with node.running():
            await node.issuer.deliver(1)
            await node.issuer.write("manifest/fleet", b"junk")
            await node.reported(
                lambda one: (
                    (one.concern or "").startswith("the clock of this node is 600 s ahead of the relay's; ")
                    and "; cannot use the manifest" in (one.concern or "")
                )
            )
            node.ahead_seconds = 1.0
            await node.reported(lambda one: (one.concern or "").startswith("cannot use the manifest"))

    virtually(work)
