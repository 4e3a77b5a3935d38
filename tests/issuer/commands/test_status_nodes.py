"""status --nodes, and what other nodes do to --json and --check."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.fleet import entry
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.joined import REFUSED, SERVED, VALID, Join, joining, said
from tests.issuer.status.test_metrics import parsed
from tests.json_docs import assert_documented
from wellkeeper_client import records
from wellkeeper_client.heartbeats import Heartbeat, IssuerId
from wellkeeper_client.signing import key_id
from wellkeeper_issuer.fleet.manifest import sign_manifest
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.state.restored import RestoredFile
from wellkeeper_issuer.ports.fleet import Restore
from wellkeeper_node.bundles.kept import ManifestFile
from wellkeeper_node.bundles.manifest import Manifest


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def join(program: Program, now: datetime) -> Join:
    return joining(program, now)


def test_table_has_a_line_for_each_node_with_the_words_of_its_nginx(
    program: Program, join: Join, now: datetime
) -> None:
    join("web2", report=said(SERVED))
    join("web3", timedelta(hours=9), said(REFUSED), answers=False)
    join("web4", timedelta(minutes=20))
    join("web5", report=said({}))
    lines = program.run("status", "--nodes").out.splitlines()
    assert [line.split()[0] for line in lines] == ["NODE", "web2", "web3", "web4", "web5"]
    assert " ".join(lines[1].split()[2:]) == "s ago relay, engine yes +0.1 s 2 of 2 " + f"{now + VALID:%Y-%m-%d}"
    since = f"{now - timedelta(hours=9):%Y-%m-%d %H:%M} UTC"
    assert (
        " ".join(lines[2].split())
        == "web3 9 h ago relay, engine no +0.1 s 1 of 2 2023-11-16 web: nginx: [emerg] no; clients get version 2,"
        f" serial 0a1b (since {since})"
    )
    assert " ".join(lines[3].split()).startswith(
        "web4 never - yes - 0 of 2 - mail: the node has not reported it (since "
    )
    assert lines[4].endswith("; and 1 more")


def test_host_without_other_nodes_says_so(program: Program) -> None:
    program.configure(more="[fleet]\nlisten = ['10.0.0.1:8404']")
    assert program.run("status", "--nodes").out == "no other node has joined\n"


def test_long_absence_is_shown_in_days(program: Program, join: Join) -> None:
    join("web2", timedelta(days=3), said(SERVED))
    join("web3", timedelta(minutes=5), said(SERVED))
    out = program.run("status", "--nodes").out
    assert "3 d ago" in out
    assert "5 min ago" in out


def test_json_has_the_nodes_with_or_without_the_option(program: Program, join: Join) -> None:
    join("web2", report=said(REFUSED))
    found = program.run("status", "--json").json()
    full = program.run("status", "--json", "--nodes").json()
    assert_documented("status", found)
    assert_documented("status", full)
    (node,) = found["nodes"]
    assert node["serves"] is None
    assert full["nodes"][0] | {"serves": None} == node
    assert full | {"nodes": None} == found | {"nodes": None}
    assert (node["name"], node["certificates"], node["current"], node["problem"]) == ("web2", 2, 1, None)
    (behind,) = node["behind"]
    assert (behind["name"], behind["cause"], behind["remedy"]) == ("web", "nginx: [emerg] no", "Fix it.")
    assert behind["instead"] == {
        "what": "older",
        "number": 2,
        "serial": "0a1b",
        "not_after": "2023-11-16T02:00:00+00:00",
        "since": "2023-11-14T22:13:20+00:00",
    }


def test_check_fails_for_a_node_that_is_unseen(program: Program, join: Join) -> None:
    join("web2", timedelta(minutes=16), said(SERVED))
    finished = program.run("status", "--check", "--nodes")
    assert finished.exit_code == 1
    assert "node web2: not seen since " in finished.err


def test_ephemeral_node_that_is_gone_is_shown_as_such_and_is_no_problem(program: Program, join: Join) -> None:
    join("web2", timedelta(hours=2), said(REFUSED), is_ephemeral=True)
    assert "orders do not wait for it, and it is removed after" in program.run("status", "--nodes").out
    (node,) = program.run("status", "--json").json()["nodes"]
    assert (node["is_ephemeral"], node["problem"]) == (True, None)
    assert node["absence"].startswith("not seen since ")
    assert "web2" not in program.run("status", "--check", "--nodes").err
    assert 'node="web2"' not in program.run("status", "--prometheus").out


def test_wait_after_a_restore_is_shown_with_the_missing_nodes(program: Program, join: Join, now: datetime) -> None:
    join("web2", report=said(SERVED))
    join("web3", timedelta(hours=9), said(SERVED))
    join("web4")
    RestoredFile(program.state_dir).write(Restore(now - timedelta(minutes=1)))
    until = now + timedelta(minutes=14)
    since = f"{now - timedelta(hours=9):%Y-%m-%d %H:%M} UTC"
    expected = (
        "after the restore, the issuer waits for the newest manifest of its nodes, until"
        f" {until:%Y-%m-%d %H:%M:%S} UTC at the latest; missing: web3 (not seen since {since}), web4 (it has never"
        " reported)."
    )
    finished = program.run("status", "--check")
    assert finished.exit_code == 1
    assert expected in " ".join(finished.out.split())
    assert expected in " ".join(finished.err.split())
    found = program.run("status", "--json").json()
    assert_documented("status", found)
    assert found["restore"] == {
        "waits_until": until.isoformat(),
        "missing": [
            {"name": "web3", "cause": f"not seen since {since}"},
            {"name": "web4", "cause": "it has never reported"},
        ],
    }
    RestoredFile(program.state_dir).write(Restore(now, {}))
    assert program.run("status", "--json").json()["restore"] is None


def test_ephemeral_node_is_missing_after_a_restore_until_it_could_report(
    program: Program, join: Join, now: datetime
) -> None:
    join("web2", timedelta(hours=9), said(SERVED), is_ephemeral=True)
    for minutes, missing in ((2, ["web2"]), (4, [])):
        RestoredFile(program.state_dir).write(Restore(now - timedelta(minutes=minutes)))
        assert [one["name"] for one in program.run("status", "--json").json()["restore"]["missing"]] == missing


def test_nodes_are_metrics(program: Program, join: Join, now: datetime) -> None:
    hour = timedelta(hours=1)
    join("web2", report=said(SERVED))
    join("web3", hour, said(REFUSED))
    join("web4", 2 * hour)
    found = parsed(program.run("status", "--prometheus").out)
    assert found["fleet_node_seen_at_seconds"] == pytest.approx({
        ("web2",): now.timestamp(), ("web3",): (now - hour).timestamp(), ("web4",): (now - 2 * hour).timestamp()
    }, abs=1)  # fmt: skip
    assert found["fleet_node_clock_ahead_seconds"] == pytest.approx({("web2",): 0.1, ("web3",): 0.1}, abs=0.01)
    assert found["fleet_node_certificates"] == dict.fromkeys([("web2",), ("web3",), ("web4",)], 2)
    assert found["fleet_node_certificates_behind"] == {("web2",): 0, ("web3",): 1, ("web4",): 2}
    assert found["fleet_node_behind_since_seconds"].keys() == {("web3",), ("web4",)}
    assert found["fleet_node_served_not_before_seconds"] == {("web2",): now.timestamp(), ("web3",): 1_690_000_000}
    assert found["fleet_node_served_not_after_seconds"] == {
        ("web2",): (now + VALID).timestamp(),
        ("web3",): 1_700_100_000,
    }


def test_check_fails_before_the_manifest_is_full(program: Program, join: Join, now: datetime) -> None:
    join("web2", report=said(SERVED))
    keys = FleetKeys(program.state_dir)
    public = keys.current.public_key()
    listed = {f"host-{number}.example.org": entry() for number in range(2_700)}
    message = sign_manifest(Manifest(2, int(now.timestamp()), listed, {}, {}), keys.current)
    ManifestFile(program.state_dir / "manifest.jws", {key_id(public): public}).take(message)
    finished = program.run("status", "--check", "--nodes")
    assert finished.exit_code == 1
    assert "the manifest has 2700 certificates for nodes and is 85 % full" in " ".join(finished.err.split())


def test_second_issuer_is_shown_and_makes_check_fail(program: Program, join: Join, now: datetime) -> None:
    key = FleetKeys(program.state_dir).current
    at = int(now.timestamp())
    other = records.sign(Heartbeat(IssuerId("b" * 22, "web9", at - 10), at - 1).to_record(), key)
    join("web2", report=replace(said(SERVED), heartbeats=(other,)))
    words = "several issuers feed this fleet: web1 (aaaaaaaa) and web9 (bbbbbbbb); stop all but web9 (bbbbbbbb), the"
    assert program.run("status", "--json").json()["issuers"] is None  # this one has never fed it
    own = IssuerId("a" * 22, "web1", at - 100)
    (program.state_dir / ".issuer.json").write_text(json.dumps(own.to_json()))
    assert program.run("status", "--nodes").out.startswith(words)
    assert words in program.run("status").out
    assert words in program.run("status", "--check").err
    assert program.run("status", "--json").json()["issuers"].startswith(words)
    join("web2", timedelta(minutes=4), replace(said(SERVED), heartbeats=(other,)))
    assert program.run("status", "--json").json()["issuers"] is None
