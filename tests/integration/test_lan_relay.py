"""The relay dies at every step of a renewal, or answers too late: all nodes get the certificate, from one order."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from stand.daemon import IssuerDaemon
from stand.fault_proxy import Asked, Forward, Kind, Reply
from stand.lan import Lan
from stand.relay_proxy import PutRecord, silence
from tests.integration.lan_fleet import LINEAGE, LanFleet, running_lan
from tests.integration.observed import orders, reloads

pytestmark = [pytest.mark.integration, pytest.mark.network]

Put = Callable[[], Awaitable[None]]
Wanted = Callable[[PutRecord], bool]


def is_key(start: str) -> Wanted:
    return lambda record: record.key.startswith(start)


def is_report(node: str, number: int) -> Wanted:
    """Choose the node's report that has this version of the certificate."""

    def is_it(record: PutRecord) -> bool:
        found = record.body.get("certificates", {}).get(LINEAGE, {})
        return record.key == f"report/{node}" and found.get("number") == number

    return is_it


def has_tokens(record: PutRecord) -> bool:
    return record.key.startswith("report/") and bool(record.body["publications"])


def before_record(is_wanted: Wanted) -> Callable[[LanFleet], None]:
    def stage(fleet: LanFleet) -> None:
        async def kill(_: PutRecord, _put: Put) -> None:
            await fleet.relay.restart()

        fleet.proxy.stage(is_wanted, kill)

    return stage


def after_record(is_wanted: Wanted) -> Callable[[LanFleet], None]:
    def stage(fleet: LanFleet) -> None:
        async def kill(_: PutRecord, put: Put) -> None:
            await put()
            await fleet.relay.restart()

        fleet.proxy.stage(is_wanted, kill)

    return stage


def before_request(kind: Kind) -> Callable[[LanFleet], None]:
    def stage(fleet: LanFleet) -> None:
        async def kill(_: Asked, forward: Forward) -> Reply:
            await fleet.relay.restart()
            return await forward()

        fleet.ca.stage(kind, kill)

    return stage


# Two renewals see the relay die at each step; the last one is that of the third version.
RENEWALS: Final = (
    (
        before_record(is_key("publication/")),
        before_request(Kind.CHALLENGE),
        after_record(is_key(f"bundle/{LINEAGE}")),
        after_record(is_key("manifest/")),
    ),
    (
        before_record(has_tokens),
        before_request(Kind.CERTIFICATE),
        before_record(is_key("manifest/")),
        before_record(is_report("web3", 3)),
    ),
)


async def test_relay_that_dies_at_each_step_costs_no_order(lan: Lan, folder: Path) -> None:
    async with running_lan(lan, folder) as fleet, IssuerDaemon(fleet.host.issuer) as daemon:
        await daemon.until(stage="verify", event="finished")
        for number, steps in enumerate(RENEWALS, 2):
            for stage in steps:
                stage(fleet)
            fleet.ca.asked.clear()
            await fleet.renewed("--force")
            await fleet.is_reported()
            assert orders(fleet.host.ca) == number
            # Pebble reuses one authorization in a hundred. Then there is no token, and steps wait for the next renewal.
            is_reused = not fleet.ca.times(Kind.AUTHORIZATION)
            staged = (fleet.proxy.staged, fleet.ca.staged(Kind.CHALLENGE), fleet.ca.staged(Kind.CERTIFICATE))
            assert is_reused or staged == (0, 0, 0)


async def test_record_that_is_stored_though_the_relay_answers_too_late_is_not_put_twice(lan: Lan, folder: Path) -> None:
    async with running_lan(lan, folder) as fleet:
        for is_wanted in (is_key("publication/"), is_key(f"bundle/{LINEAGE}"), is_report("web2", 1)):
            fleet.proxy.stage(is_wanted, silence)
        await fleet.renewed()
        assert (orders(fleet.host.ca), fleet.proxy.staged) == (1, 0)
        numbers = defaultdict(set)
        for record in fleet.proxy.put:
            numbers[record.key].add(record.number)
        # A token and its withdrawal; one version of one certificate.
        assert [found for key, found in numbers.items() if key.startswith("publication/")] == [{1, 2}]
        assert numbers[f"bundle/{LINEAGE}"] == {1}
        assert [reloads(node.nginx) for node in fleet.nodes.values()] == [1, 1]
        await fleet.is_reported()
