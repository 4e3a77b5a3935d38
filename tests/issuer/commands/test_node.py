"""node invite, list and remove, without a daemon and without nodes; tests/integration has those with them."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.fleet import WEB2 as WEB2_SEALING
from tests.fleet import public
from tests.issuer.commands.conftest import Program
from tests.joins import SEALING_KEY, WEB9, WEB9_KEY, WEB9_SEALING
from tests.json_docs import assert_documented
from wellkeeper_issuer.outside.state.state import JOURNAL, State, open_state
from wellkeeper_issuer.ports.fleet import EnrolledNode, NodeReport, OpenInvite
from wellkeeper_node import public_keys
from wellkeeper_node.agent.keys import NodePublic
from wellkeeper_node.agent.report import Report
from wellkeeper_node.certificates.folders import CertificateFolders

NOW = datetime.now(UTC)
WEB2 = EnrolledNode("web2", "s", "x", ("*",), answers=True, enrolled_at=NOW)
WEB3 = EnrolledNode("web3", "S", "X", ("b.example",), answers=False, enrolled_at=NOW)
INVITE = OpenInvite("i" * 22, "web4", b"s", "{}", ("*",), True, NOW, NOW + timedelta(hours=1))


@pytest.fixture
def ready(program: Program) -> Program:
    program.configure("a.example", "b.example", "c.example", more="[fleet]\nlisten = ['10.0.0.1:8404']")
    program.make_keys()
    return program


def record(program: Program, *nodes: EnrolledNode, report: NodeReport | None = None) -> None:
    async def write() -> None:
        async with open_state(program.state_dir / JOURNAL, may_write=True) as state:
            for node in nodes:
                await state.fleet.record_node(node)
            await state.fleet.record_invite(INVITE)
            await state.fleet.record_reports(*([report] if report else []))

    asyncio.run(write())


def nodes(program: Program) -> list[str]:
    async def read(state: State) -> list[str]:
        return [*await state.fleet.read_nodes(), *(one.node for one in (await state.fleet.read_invites()).values())]

    async def opened() -> list[str]:
        async with open_state(program.state_dir / JOURNAL, may_write=False) as state:
            return await read(state)

    return asyncio.run(opened())


def test_list_has_nodes_and_open_invites(ready: Program) -> None:
    record(ready, WEB2, WEB3)
    lines = ready.run("node", "list").out.splitlines()
    assert [line.split()[0] for line in lines] == ["NODE", "web2", "web3", "web4"]
    assert lines[1].split()[-2:] == ["yes", "all"]
    assert lines[2].split()[-2:] == ["no", "b.example"]
    assert f"invited until {NOW + timedelta(hours=1):%Y-%m-%d %H:%M} UTC" in lines[3]
    found = ready.run("node", "list", "--json").json()
    assert_documented("node list", found)
    assert [one["name"] for one in found["nodes"]] == ["web2", "web3"]
    assert [one["node"] for one in found["invites"]] == ["web4"]


def test_list_has_what_nodes_follow_as_of_their_last_report(ready: Program) -> None:
    report = NodeReport("web3", 1, datetime.now(UTC), json.dumps(Report("1", 5, follows=("engine",)).to_json()))
    record(ready, WEB2, WEB3, report=report)
    lines = ready.run("node", "list").out.splitlines()
    assert lines[0].split() == ["NODE", "STATE", "SEEN", "FOLLOWS", "ANSWERS", "CERTIFICATES"]
    assert lines[1].split()[-4:-2] == ["never", "-"]
    assert lines[2].split()[-4:-2] == ["ago", "engine"]
    web2, web3 = ready.run("node", "list", "--json").json()["nodes"]
    assert (web2["seen_at"], web2["follows"]) == (None, [])
    assert (web3["seen_at"], web3["follows"]) == (report.at.isoformat(), ["engine"])


def test_host_without_nodes_says_so(ready: Program) -> None:
    assert ready.run("node", "list").out.splitlines()[0] == "no other node has joined"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("../x",), "NAME"),
        (("web2",), "a node with this name has joined"),
        (("web9", "--certificates", "z.example"), "z.example"),
        (("web9", "--relay", "8.8.8.8:1"), "plain HTTP is allowed only to private addresses"),
        (("web9",), "there is no fleet key"),
        (("web9", "--certificates", "a.example"), "there is no fleet key"),
    ],
)
def test_invites_that_could_not_work_are_refused(ready: Program, arguments: tuple[str, ...], why: str) -> None:
    record(ready, WEB2)
    if why != "there is no fleet key":
        ready.run("fleet", "listen", "10.0.0.1:8404")
    finished = ready.run("node", "invite", *arguments)
    assert finished.exit_code == 2, finished
    assert why in finished.err


def test_invite_needs_a_relay(ready: Program) -> None:
    ready.run("fleet", "listen", "10.0.0.1:8404")
    ready.configure("a.example")
    finished = ready.run("node", "invite", "web9")
    assert finished.exit_code == 2
    assert "Run 'wellkeeper fleet listen ADDRESS' first" in finished.err


def test_unknown_node_cannot_be_removed(ready: Program) -> None:
    record(ready, WEB2)
    finished = ready.run("node", "remove", "web9", "--yes")
    assert finished.exit_code == 2
    assert "the nodes that joined are: web2" in finished.err


def test_removal_needs_a_confirmation(ready: Program) -> None:
    record(ready, WEB2)
    finished = ready.run("node", "remove", "web2")
    assert (finished.exit_code, nodes(ready)) == (2, ["web2", "web4"])
    assert "pass --yes to confirm" in finished.err


def test_node_and_invite_are_removed(ready: Program) -> None:
    ready.configure("a.example")
    record(ready, WEB2)
    assert ready.run("node", "remove", "web2", "--yes").out == "removed web2\n"
    found = ready.run("node", "remove", "web4", "--yes", "--json").json()
    assert_documented("node remove", found)
    assert (found["name"], found["certificates"], nodes(ready)) == ("web4", [], [])


LINE = NodePublic(WEB9_KEY.public_key().public_bytes_raw(), SEALING_KEY.public_key().public_bytes_raw()).line

OTHER_LINE = NodePublic(bytes(32), public(WEB2_SEALING)).line


def test_node_is_added_by_its_public_line(ready: Program) -> None:
    assert ready.run("node", "add", "web9", LINE, "--certificates", "a.example", "--no-answers").out == "added web9\n"
    (node,) = ready.run("node", "list", "--json").json()["nodes"]
    assert (node["signing_key"], node["sealing_key"]) == (WEB9, WEB9_SEALING)
    assert (node["certificates"], node["answers"]) == (["a.example"], False)
    added = ready.run("node", "add", "web8", OTHER_LINE, "--json").json()
    assert_documented("node add", added)
    assert (added["is_new"], added["is_changed"]) == (True, True)


def test_node_that_is_added_again_keeps_its_enrolment_and_may_get_other_options(ready: Program) -> None:
    ready.run("node", "add", "web9", LINE, "--certificates", "a.example")
    (before,) = ready.run("node", "list", "--json").json()["nodes"]
    again = ready.run("node", "add", "web9", LINE, "--certificates", "a.example", "--json").json()
    assert (again["is_new"], again["is_changed"]) == (False, False)
    assert ready.run("node", "add", "web9", LINE, "--no-answers").out == "changed web9\n"
    (after,) = ready.run("node", "list", "--json").json()["nodes"]
    assert after == before | {"certificates": ["*"], "answers": False}


@pytest.mark.parametrize(
    ("name", "line", "why"),
    [("web9", "OTHER", "a node with this name has joined"), ("web8", "LINE", "its keys are those of node 'web9'")],
)
def test_keys_and_names_are_not_shared(ready: Program, name: str, line: str, why: str) -> None:
    ready.run("node", "add", "web9", LINE)
    refused = ready.run("node", "add", name, LINE if line == "LINE" else OTHER_LINE)
    assert (refused.exit_code, why in refused.err) == (2, True)


def test_other_lines_are_refused(ready: Program) -> None:
    finished = ready.run("node", "add", "web9", "wkn1:x")
    assert (finished.exit_code, "86 characters of base64url" in " ".join(finished.err.split())) == (2, True)


def install(program: Program, name: str) -> str:
    """Make a certificate of a CA live, and return the fingerprint of its leaf."""
    folders = CertificateFolders(program.certificates_dir)
    pair = FakeCa(datetime.now(UTC)).pair(dns(name))

    async def write() -> None:
        await folders.switch(name, await folders.write(name, pair))

    asyncio.run(write())
    return public_keys.leaf_key_fingerprint(pair.chain_pem)


def disowned(program: Program, name: str) -> frozenset[str]:
    return asyncio.run(CertificateFolders(program.certificates_dir).disowned_keys(name))


def test_certificates_of_a_compromised_node_are_disowned_and_due(ready: Program) -> None:
    record(ready, WEB3)
    key, _ = install(ready, "b.example"), install(ready, "a.example")
    found = ready.run("node", "remove", "web3", "--compromised", "--yes", "--json")
    assert found.exit_code == 1  # no CA answers
    assert_documented("node remove", found.json() | {"certificates": []})
    assert [one["name"] for one in found.json()["certificates"]] == ["b.example"]
    assert (found.json()["kept_keys"], found.json()["revoked"], found.json()["not_revoked"]) == ([], [], {})
    assert disowned(ready, "b.example") == {key}
    assert not disowned(ready, "a.example")
    assert "web3" not in nodes(ready)


def test_certificate_that_was_never_issued_costs_nothing(ready: Program) -> None:
    record(ready, WEB3)
    found = ready.run("node", "remove", "web3", "--compromised", "--yes", "--json")
    assert (found.exit_code, found.json()["certificates"]) == (0, [])


def test_certificates_that_cannot_be_replaced_here_are_named(ready: Program) -> None:
    csr = "csr = '/etc/b.csr'\nname = 'b.example'"
    external = "[[certificates]]\nidentifiers = ['c.example']\nsource = 'external'"
    ready.configure(more=f"[[certificates]]\nidentifiers = ['b.example']\n{csr}\n{external}")
    record(ready, replace(WEB3, lineages=("b.example", "c.example")))
    out = ready.run("node", "remove", "web3", "--compromised", "--yes").out
    assert (
        "Wellkeeper cannot replace these (csr, external): replace and revoke them by hand: b.example, c.example" in out
    )
