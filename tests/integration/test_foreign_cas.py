"""Replies that differ from those of Let's Encrypt: step-ca, Caddy, acme2certifier, serles, django-ca."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from stand.fault_proxy import Kind
from stand.faults import answer, changed, cut, problem
from stand.host import running_host
from tests.integration.misbehaving import NAME, OTHER_NAME, misbehaving
from tests.integration.observed import installed, issued, outcomes, served
from tests.integration.test_rollover import other_account
from tests.json_docs import assert_documented

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
    certificates = {"shop": [OTHER_NAME], "web": [NAME]}
    async with running_host(folder, certificates, has_proxy=True, nonces_rejected_percent=0) as host:
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


@pytest.mark.parametrize("status", [401, 403])
async def test_account_that_the_ca_forgot_in_other_words_is_registered_again(folder: Path, status: int) -> None:
    async with misbehaving(folder) as ca:
        ca.proxy.stage(Kind.NEW_ORDER, problem(status, "unauthorized", "Account not found."))
        ca.proxy.stage(Kind.ACCOUNT, problem(400, "accountDoesNotExist", "no such account"), after=1)
        await ca.serves()
        assert (ca.proxy.staged(Kind.NEW_ORDER), ca.proxy.staged(Kind.ACCOUNT)) == (0, 0)
        assert len(ca.proxy.times(Kind.ACCOUNT)) == 3


async def test_account_url_of_another_key_is_replaced(folder: Path) -> None:
    """As after a state directory that was put together from two backups."""
    async with misbehaving(folder) as ca:
        await ca.serves()
        (record,) = (ca.host.issuer.state_dir / "accounts").glob("*.json")
        known = record.read_text()
        async with other_account(ca.host.ca, folder / "other") as (other, _):
            number = (await other.account_url()).rpartition("/")[2]
        ours = json.loads(known)["account_url"]
        record.write_text(known.replace(ours, f"{ours.rpartition('/')[0]}/{number}"))
        await ca.serves()
        assert json.loads(record.read_text())["account_url"] == ours


async def test_account_that_the_ca_keeps_when_asked_to_deactivate_it_is_used_further(folder: Path) -> None:
    async with misbehaving(folder) as ca:
        await ca.serves()
        ca.proxy.stage(Kind.OUR_ACCOUNT, answer(200, '{"status": "valid"}', "application/json"))
        refused = await ca.host.issuer.run("account", "deactivate", "--yes")
        assert refused.exit_code == 1
        assert "it replied that the account is valid" in refused.err
        await ca.serves()


async def test_key_change_that_is_not_implemented_leaves_no_rollover_behind(folder: Path) -> None:
    async with misbehaving(folder) as ca:
        await ca.serves()
        (present,) = (ca.host.issuer.state_dir / "accounts").glob("*.pem")
        following, before = present.with_suffix(".next.pem"), present.read_bytes()
        await ca.host.issuer.run("account", "rollover")
        assert following.exists()
        abandoned = await ca.host.issuer.run_well("account", "rollover", "--abandon", "--json")
        assert_documented("account rollover", abandoned.json())
        assert not following.exists()
        await ca.host.issuer.run("account", "rollover")
        await ca.host.issuer.run_well("trust", "--write")
        ca.proxy.stage(Kind.KEY_CHANGE, problem(501, "rejectedIdentifier", "not implemented"))
        refused = await ca.host.issuer.run("account", "rollover")
        assert refused.exit_code == 1
        assert "The rollover was abandoned." in refused.err
        assert (present.read_bytes(), following.exists()) == (before, False)


async def test_ca_that_wants_a_contact_leads_to_the_setting(folder: Path) -> None:
    async with misbehaving(folder) as ca:
        ca.proxy.stage(Kind.ACCOUNT, problem(400, "malformed", "Contact information is missing"))
        reported = await ca.fails("order", "Contact information is missing")
        assert 'Set contact = ["mailto:you@example.org"] in the settings' in reported


async def test_order_in_processing_for_a_day_is_asked_for_within_minutes(folder: Path) -> None:
    async with misbehaving(folder) as ca:
        processing = changed(lambda members: members.update(status="processing"), Retry_After="86400")
        ca.proxy.stage(Kind.ORDER, processing, times=9)
        await ca.fails("finalize", r"is still processing\. Run 'wellkeeper renew' again in 600 s")
        ca.proxy.heal()
        await ca.serves()
        assert ca.counts() == (1, 1)


async def test_recorded_order_that_cannot_be_read_is_replaced(folder: Path) -> None:
    async with misbehaving(folder) as ca:
        ca.proxy.stage(Kind.FINALIZE, cut)
        await ca.fails("finalize", "no answer from the CA")
        ca.proxy.stage(Kind.ORDER, changed(lambda members: members.pop("status")))
        await ca.serves()
        assert ca.counts() == (2, 1)
