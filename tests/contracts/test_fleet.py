"""Contract of `ports.fleet.FleetRecords`."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Final

from tests.fakes_deliver import NOW
from wellkeeper_issuer.ports.fleet import EnrolledNode, MissingToken, NodeReport, OpenInvite
from wellkeeper_issuer.ports.state import StateRecords

WEB2: Final = EnrolledNode("web2", "s" * 43, "x" * 43, ("web", "mail"), answers=False, enrolled_at=NOW)
WEB3: Final = EnrolledNode("web3", "S" * 43, "X" * 43, ("*",), answers=True, enrolled_at=NOW)
REPORT: Final = NodeReport("web2", 2**53 - 1, NOW, '{"version": "1"}')

MISSING: Final = MissingToken("web2", "a.example", NOW, "nginx denies it", is_reported=True)

HOUR: Final = timedelta(hours=1)
INVITE: Final = OpenInvite(
    "i" * 22, "web2", b"s" * 16, "{}", ("*",), answers=True, created_at=NOW, expires_at=NOW + HOUR
)
MANY: Final = replace(INVITE, id="m" * 22, node="", uses=3, is_ephemeral=True)


async def test_nodes_are_read_back_and_replaced(state: StateRecords) -> None:
    assert await state.fleet.read_nodes() == {}
    later = replace(WEB2, signing_key="t" * 43)
    for node in (WEB2, WEB3, later):
        await state.fleet.record_node(node)
    assert await state.fleet.read_nodes() == {"web2": later, "web3": WEB3}


async def test_only_the_keys_of_a_node_are_replaced_and_only_while_it_has_the_former_ones(state: StateRecords) -> None:
    new = replace(WEB2, signing_key="t" * 43, sealing_key="y" * 43)
    await state.fleet.rekey_node(new, WEB2)
    assert await state.fleet.read_nodes() == {}
    for former in (replace(WEB2, signing_key="u" * 43), replace(WEB2, sealing_key="z" * 43)):
        await state.fleet.record_node(former)
        await state.fleet.rekey_node(new, WEB2)
        assert await state.fleet.read_nodes() == {"web2": former}
    await state.fleet.record_node(replace(WEB2, lineages=("web",)))
    await state.fleet.record_node(WEB3)
    await state.fleet.rekey_node(new, WEB2)
    assert await state.fleet.read_nodes() == {"web2": replace(new, lineages=("web",)), "web3": WEB3}


async def test_later_report_replaces_the_earlier_one_of_the_same_node(state: StateRecords) -> None:
    other, later = replace(REPORT, node="web3"), replace(REPORT, number=5, at=NOW + timedelta(minutes=1))
    await state.fleet.record_reports(REPORT, other)
    await state.fleet.record_reports(later)
    assert await state.fleet.read_reports() == {"web2": later, "web3": other}


async def test_last_missing_token_of_a_node_is_recorded_until_it_serves_one_for_the_identifier(
    state: StateRecords,
) -> None:
    other, later = replace(MISSING, node="web3"), replace(MISSING, identifier="b.example", at=NOW + HOUR)
    await state.fleet.record_missing_tokens(MISSING, other, later)
    assert await state.fleet.read_missing_tokens(NOW) == {"web2": later, "web3": other}
    assert await state.fleet.read_missing_tokens(NOW + HOUR) == {"web2": later}
    await state.fleet.forget_missing_tokens(("web2", "a.example"), ("web3", "b.example"))
    assert "web2" in await state.fleet.read_missing_tokens(NOW)
    for _ in range(2):
        await state.fleet.forget_missing_tokens(("web2", "b.example"))
    assert await state.fleet.read_missing_tokens(NOW) == {"web3": other}


async def test_removed_node_is_forgotten_with_all_that_is_about_it(state: StateRecords) -> None:
    for node in (WEB2, WEB3):
        await state.fleet.record_node(node)
    await state.fleet.record_reports(REPORT)
    await state.fleet.record_missing_tokens(MISSING)
    for _ in range(2):
        await state.fleet.forget_node("web2")
    assert await state.fleet.read_nodes() == {"web3": WEB3}
    assert await state.fleet.read_reports() == {}
    assert await state.fleet.read_missing_tokens(NOW) == {}


async def test_later_invite_for_the_same_node_replaces_the_earlier_one(state: StateRecords) -> None:
    other, later = replace(INVITE, id="o" * 22, node="web3"), replace(INVITE, id="l" * 22)
    for invite in (INVITE, other, later):
        await state.fleet.record_invite(invite)
    assert await state.fleet.read_invites() == {"l" * 22: later, "o" * 22: other}
    assert not later.is_used_up


async def test_node_is_enrolled_together_with_the_use_of_its_invite(state: StateRecords) -> None:
    await state.fleet.record_invite(INVITE)
    await state.fleet.enrol(WEB2, INVITE.id)
    assert await state.fleet.read_nodes() == {"web2": replace(WEB2, invite=INVITE.id)}
    assert (await state.fleet.read_invites())[INVITE.id].is_used_up
    await state.fleet.forget_node("web2")
    assert await state.fleet.read_invites() == {}


async def test_reusable_invite_enrols_as_many_nodes_as_it_has_uses_each_once(state: StateRecords) -> None:
    await state.fleet.record_invite(MANY)
    await state.fleet.record_invite(replace(MANY, id="o" * 22))
    nodes = [replace(WEB2, name=f"web{number}", signing_key=f"{number}" * 43) for number in range(4)]
    for node in (nodes[0], nodes[0], *nodes):
        await state.fleet.enrol(node, MANY.id)
    wanted = {one.name: replace(one, invite=MANY.id) for one in nodes[: MANY.uses]}
    assert await state.fleet.read_nodes() == wanted
    users = frozenset(one.signing_key for one in wanted.values())
    invites = await state.fleet.read_invites()
    assert invites == {MANY.id: replace(MANY, used_by=users), "o" * 22: replace(MANY, id="o" * 22)}


async def test_removed_node_does_not_use_a_reusable_invite_again_with_the_same_key(state: StateRecords) -> None:
    await state.fleet.record_invite(MANY)
    await state.fleet.enrol(WEB2, MANY.id)
    await state.fleet.forget_node("web2")
    for node in (WEB2, replace(WEB2, name="web4")):
        await state.fleet.enrol(node, MANY.id)
    assert await state.fleet.read_nodes() == {}
    assert (await state.fleet.read_invites())[MANY.id].used_by == {WEB2.signing_key}


async def test_enrolled_node_keeps_its_name_and_is_taken_over_by_no_other_keys(state: StateRecords) -> None:
    await state.fleet.record_node(WEB2)
    await state.fleet.record_invite(MANY)
    for other in (replace(WEB2, signing_key="t" * 43), replace(WEB2, sealing_key="z" * 43)):
        await state.fleet.enrol(other, MANY.id)
    assert await state.fleet.read_nodes() == {"web2": WEB2}
    assert (await state.fleet.read_invites())[MANY.id] == MANY
    await state.fleet.enrol(replace(WEB2, is_ephemeral=True), MANY.id)
    assert await state.fleet.read_nodes() == {"web2": replace(WEB2, is_ephemeral=True, invite=MANY.id)}


async def test_revoked_invite_enrols_no_node(state: StateRecords) -> None:
    await state.fleet.record_invite(MANY)
    for at in (NOW, NOW + HOUR):
        await state.fleet.revoke_invite(MANY.id, at)
    await state.fleet.enrol(WEB2, MANY.id)
    assert await state.fleet.read_nodes() == {}
    assert await state.fleet.read_invites() == {MANY.id: replace(MANY, revoked_at=NOW)}


async def test_node_is_not_enrolled_with_an_invite_that_was_deleted(state: StateRecords) -> None:
    await state.fleet.record_node(WEB3)
    await state.fleet.enrol(WEB2, INVITE.id)
    assert await state.fleet.read_nodes() == {"web3": WEB3}


async def test_expired_invites_are_forgotten(state: StateRecords) -> None:
    other = replace(INVITE, id="o" * 22, node="web3", expires_at=NOW + 2 * HOUR)
    for invite in (INVITE, other):
        await state.fleet.record_invite(invite)
    await state.fleet.forget_expired(NOW + HOUR)
    assert await state.fleet.read_invites() == {other.id: other}


async def test_changes_of_nodes_and_invites_wake_the_one_who_waits(state: StateRecords) -> None:
    changes = (
        state.fleet.record_invite(INVITE),
        state.fleet.enrol(WEB2, INVITE.id),
        state.fleet.record_node(WEB3),
        state.fleet.rekey_node(replace(WEB3, signing_key="t" * 43), WEB3),
        state.fleet.forget_node("web3"),
        state.fleet.revoke_invite(INVITE.id, NOW),
    )
    for change in changes:
        waiting = asyncio.create_task(state.fleet.wait_for_change())
        await change
        await waiting
    await state.fleet.record_reports(REPORT)
    waiting = asyncio.create_task(state.fleet.wait_for_change())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
