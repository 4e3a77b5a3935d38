"""What other CAs than Let's Encrypt reply: step-ca, Caddy, acme2certifier, serles, django-ca."""

from pathlib import Path
from typing import Any, Final

import pytest

from stand.fault_proxy import Kind
from stand.faults import changed, cut
from stand.host import running_host
from tests.integration.misbehaving import NAME, OTHER_NAME, misbehaving
from tests.integration.observed import installed, issued, outcomes, served

pytestmark = pytest.mark.integration

# As long as those of django-ca; the key authorization has 130 bytes.
_LONG_TOKEN: Final = "django-ca_" + "x" * 76


def without_finalize(members: dict[str, Any]) -> None:
    members.pop("finalize", None)


def with_long_token(members: dict[str, Any]) -> None:
    for challenge in members["challenges"]:
        challenge["token"] = _LONG_TOKEN


async def test_token_of_86_characters_is_read_back_and_answered(folder: Path) -> None:
    async with misbehaving(folder, environment={"PEBBLE_VA_ALWAYS_VALID": "1"}) as ca:
        ca.proxy.stage(Kind.AUTHORIZATION, changed(with_long_token), times=9)
        await ca.serves()


async def test_order_without_finalize_when_it_is_read_again_is_resumed(folder: Path) -> None:
    async with misbehaving(folder) as ca:
        ca.proxy.stage(Kind.FINALIZE, cut)
        ca.proxy.stage(Kind.ORDER, changed(without_finalize), times=20)
        await ca.fails("finalize", "no answer from the CA")
        await ca.serves()
        assert ca.counts() == (1, 1)
        assert ca.proxy.staged(Kind.ORDER) < 20


async def test_order_that_cannot_be_read_is_replaced_and_others_of_the_ca_go_on(folder: Path) -> None:
    async with running_host(folder, {"shop": [OTHER_NAME], "web": [NAME]}, has_proxy=True) as host:
        assert host.proxy is not None
        host.proxy.stage(Kind.NEW_ORDER, changed(lambda members: members.pop("status")))
        finished = await host.issuer.run("renew", "--json")
        assert finished.exit_code == 1
        assert sorted(outcomes(finished).values()) == ["failed", "served"]
        again = await host.issuer.run("renew", "--retry", "--json")
        assert again.exit_code == 0, again
        for lineage, name in (("shop", OTHER_NAME), ("web", NAME)):
            assert await served(host, name) == installed(host.issuer, lineage)
        assert issued(host.ca) == 2


async def test_recorded_order_that_cannot_be_read_is_replaced(folder: Path) -> None:
    async with misbehaving(folder) as ca:
        ca.proxy.stage(Kind.FINALIZE, cut)
        await ca.fails("finalize", "no answer from the CA")
        ca.proxy.stage(Kind.ORDER, changed(lambda members: members.pop("status")))
        await ca.serves()
        assert ca.counts() == (2, 1)
