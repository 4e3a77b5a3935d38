"""A CA with several perspectives: it decides after the last one, and tokens stay published until then."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from stand.boulder_fetch import Internet, Place
from stand.many_places import ENVIRONMENT, ManyPlaces
from tests.integration.misbehaving import NAME, Misbehaving, misbehaving
from tests.integration.observed import fetches, reconfigure
from wellkeeper_client import trust_file

pytestmark = pytest.mark.integration

FIRST: Final = Place("127.0.0.11")
OTHERS: Final = [Place(f"127.0.0.{number}") for number in range(12, 16)]


@asynccontextmanager
async def multi_perspective_host(folder: Path, *places: Place) -> AsyncIterator[Misbehaving]:
    async with misbehaving(folder, environment=ENVIRONMENT) as ca:
        look_from(ca, *places)
        yield ca


def look_from(ca: Misbehaving, *places: Place) -> None:
    """Let the CA validate from these places from now on."""
    host = ca.host
    internet = Internet({NAME: ("127.0.0.1",)}, {80: host.http[1], 443: host.https[1]})
    (thumbprint,) = trust_file.read(host.issuer.trust_path).account_thumbprints
    ca.proxy.heal()
    ManyPlaces(internet, places, thumbprint).stage(ca.proxy)


async def seen(ca: Misbehaving) -> dict[str, int]:
    """Return the status that each perspective got."""
    return {one["client_address"]: one["status"] for one in await fetches(ca.host.responder)}


async def deny(ca: Misbehaving, *places: Place) -> None:
    conditions = [f"if ($remote_addr = {place.address}) {{ return 403; }}" for place in places]
    await reconfigure(ca.host.nginx, replace(ca.host.nginx.settings, in_server=" ".join(conditions)))


async def test_five_perspectives_are_answered(folder: Path) -> None:
    async with multi_perspective_host(folder, FIRST, *OTHERS) as ca:
        await ca.serves()
        assert await seen(ca) == {place.address: 200 for place in (FIRST, *OTHERS)}


async def test_late_perspective_still_finds_the_token(folder: Path) -> None:
    late = replace(OTHERS[-1], delay_seconds=3)
    async with multi_perspective_host(folder, FIRST, *OTHERS[:-1], late) as ca:
        await ca.serves()
        assert (await seen(ca))[late.address] == 200


async def test_failure_at_later_perspectives_is_a_refusal(folder: Path) -> None:
    """Fail in the CA's view although the read-back through the same nginx succeeded."""
    async with multi_perspective_host(
        folder, FIRST, *OTHERS[:2], *(replace(one, delay_seconds=1) for one in OTHERS[2:])
    ) as ca:
        await deny(ca, *OTHERS[2:])
        reported = await ca.fails(
            "validate", rf"the CA did not accept {re.escape(NAME)}: unauthorized \(HTTP 403\): During secondary"
        )
        assert (
            "Check that A and AAAA records lead only to the configured nodes: another server answered the CA"
            in reported
        )
        assert await seen(ca) == {place.address: 200 for place in (FIRST, *OTHERS[:2])}
        await deny(ca)
        await ca.serves()


async def test_failure_at_one_later_perspective_is_tolerated(folder: Path) -> None:
    async with multi_perspective_host(folder, FIRST, *OTHERS) as ca:
        await deny(ca, OTHERS[0])
        await ca.serves()


async def test_ca_with_one_more_place_is_asked_once_too_early_and_counted_again(folder: Path) -> None:
    async with multi_perspective_host(folder, FIRST, *OTHERS[:-1]) as ca:
        await ca.serves_until_counted(4, 3)
        look_from(ca, FIRST, *OTHERS[:-1], replace(OTHERS[-1], delay_seconds=1))
        await ca.serves_until_counted(5, 1)
