"""node invite --uses and --revoke, and node invites; without a daemon, so no node joins here."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.issuer.commands.conftest import Program
from tests.json_docs import assert_documented
from wellkeeper_client.joining import parse_invite
from wellkeeper_issuer.outside.state.state import JOURNAL, open_state
from wellkeeper_issuer.ports.fleet import EnrolledNode

NOW = datetime.now(UTC)
WEB2 = EnrolledNode("web2", "s", "x", ("*",), answers=True, enrolled_at=NOW)
REUSABLE = ("--uses", "50", "--for", "30d", "--ephemeral", "--certificates", "a.example,b.example")


@pytest.fixture
def listening(program: Program) -> Program:
    """Return a program whose settings have a relay, and a fleet key."""
    program.configure("a.example", "b.example", more="[fleet]\nlisten = ['10.0.0.1:8404']")
    program.make_keys()
    assert program.run("fleet", "listen", "10.0.0.1:8404").exit_code == 0
    return program


def invite(program: Program, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = program.run("node", "invite", *options, "--json").json()
    assert_documented("node invite", found)
    return found


def invites(program: Program) -> list[dict[str, Any]]:
    found = program.run("node", "invites", "--json").json()
    assert_documented("node invites", found)
    listed: list[dict[str, Any]] = found["invites"]
    return listed


def join(program: Program, invite_id: str, *nodes: EnrolledNode) -> None:
    async def write() -> None:
        async with open_state(program.state_dir / JOURNAL, may_write=True) as state:
            for node in nodes:
                await state.fleet.enrol(node, invite_id)

    asyncio.run(write())


def test_reusable_invite_is_printed_listed_and_revoked(listening: Program) -> None:
    made = invite(listening, *REUSABLE)
    line = parse_invite(made["invite"])
    assert (line.id, line.is_reusable, line.node) == (made["id"], True, "")
    assert timedelta(days=29) < datetime.fromisoformat(made["expires_at"]) - NOW < timedelta(days=31)
    join(listening, made["id"], WEB2, replace(WEB2, name="web3", signing_key="S"))
    (listed,) = invites(listening)
    assert (listed["uses"], listed["used"], listed["joined"]) == (50, 2, ["web2", "web3"])
    assert (listed["certificates"], listed["is_ephemeral"]) == (["a.example", "b.example"], True)
    assert (listed["node"], listed["is_current"], listed["revoked_at"]) == (None, True, None)
    rows = listening.run("node", "invites").out.splitlines()
    assert rows[1].split()[:5] == [made["id"], "any", "48", "of", "50"]
    assert rows[1].split()[-3:] == ["yes", "web2,", "web3"]
    node = listening.run("node", "list", "--json").json()["nodes"][0]
    assert (node["is_ephemeral"], node["invite"]) == (False, made["id"])
    assert listening.run("node", "invite", "--revoke", made["id"]).out == f"revoked {made['id']}\n"
    (revoked,) = invites(listening)
    assert revoked["revoked_at"] is not None
    assert "revoked" in listening.run("node", "invites").out
    again = invite(listening, "--revoke", made["id"])
    assert (again["invite"], again["revoked_at"]) == (None, revoked["revoked_at"])


def test_text_says_how_many_until_when_and_how_it_ends(listening: Program) -> None:
    finished = listening.run("node", "invite", "--uses", "2", "--certificates", "all")
    (listed,) = invites(listening)
    assert listed["certificates"] == ["*"]
    assert "It is good for 2 nodes, so treat it like a private key" in finished.out
    assert f"--revoke {listed['id']}" in finished.out
    assert "No daemon runs, so no node can join yet." in finished.err


def test_host_without_invites_says_so(listening: Program) -> None:
    assert listening.run("node", "invites").out.splitlines()[0] == "no invites are open"


def test_invite_from_before_a_change_of_keys_or_cas_is_outdated(listening: Program) -> None:
    made = invite(listening, *REUSABLE)

    async def change() -> None:
        async with open_state(listening.state_dir / JOURNAL, may_write=True) as state:
            kept = (await state.fleet.read_invites())[made["id"]]
            terms = json.loads(kept.terms)
            terms["pins"]["account_thumbprints"] = ["t" * 43]
            await state.fleet.record_invite(replace(kept, terms=json.dumps(terms)))

    asyncio.run(change())
    assert [one["is_current"] for one in invites(listening)] == [False]
    assert "50 of 50, outdated" in listening.run("node", "invites").out


def test_certificate_named_all_is_one_certificate(program: Program) -> None:
    certificate = "[[certificates]]\nname = 'all'\nidentifiers = ['b.example']"
    program.configure("a.example", more=f"{certificate}\n[fleet]\nlisten = ['10.0.0.1:8404']")
    program.make_keys()
    program.run("fleet", "listen", "10.0.0.1:8404")
    invite(program, "--uses", "2", "--certificates", "all")
    assert [one["certificates"] for one in invites(program)] == [["all"]]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "Name one node, or set with --uses"),
        (("web9", "--uses", "2"), "Name one node, or set with --uses"),
        (("--uses", "2"), "--uses needs --certificates"),
        (("--uses", "2", "--certificates", ","), "--uses needs --certificates"),
        (("--uses", "2", "--certificates", "z.example"), "z.example"),
        (("--uses", "0", "--certificates", "all"), "1<=x<=1000"),
        (("--uses", "1001", "--certificates", "all"), "1<=x<=1000"),
        (("web9", "--for", "91d"), "not a time from 1h to 90d"),
        (("web9", "--for", "0h"), "not a time from 1h to 90d"),
        (("web9", "--for", "1w"), "not a time from 1h to 90d"),
        (("web9", "--revoke", "x"), "--revoke ID takes no other options"),
        (("--revoke", "x"), "there is no such invite, or it has expired"),
    ],
    ids=" ".join,
)
def test_other_options_are_refused(listening: Program, arguments: tuple[str, ...], why: str) -> None:
    finished = listening.run("node", "invite", *arguments)
    assert finished.exit_code == 2, finished
    assert why in " ".join(finished.err.split())
    assert invites(listening) == []


def test_removal_names_the_invite_with_which_the_node_can_join_again(listening: Program) -> None:
    made = invite(listening, *REUSABLE)
    join(listening, made["id"], WEB2)
    listening.configure("a.example")
    out = listening.run("node", "remove", "web2", "--yes").out
    assert f"With new keys, it can join again with invite {made['id']}." in out
    assert f"'wellkeeper node invite --revoke {made['id']}'" in out


def test_removal_of_a_compromised_node_revokes_its_invite(listening: Program) -> None:
    made = invite(listening, *REUSABLE)
    join(listening, made["id"], WEB2)
    found = listening.run("node", "remove", "web2", "--compromised", "--yes", "--json").json()
    assert_documented("node remove", found)
    assert found["invite"] == made["id"]
    assert [one["revoked_at"] is not None for one in invites(listening)] == [True]
    events = listening.run("history", made["id"], "--json").json()["events"]
    assert [(one["kind"], one["subject"]) for one in events] == [
        ("node-invited", made["id"]),
        ("invite-revoked", made["id"]),
    ]
