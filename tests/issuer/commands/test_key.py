"""The commands of `key` without a daemon; tests/integration/test_key_rotation.py has fleets and a CA."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.issuer.commands.conftest import Program
from tests.issuer.commands.relays import running_relay
from tests.json_docs import assert_documented
from wellkeeper_client.signing import key_id
from wellkeeper_issuer.fleet.manifest import sign_manifest
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.keys.signing_keys import SigningKey
from wellkeeper_issuer.outside.state.state import open_state
from wellkeeper_issuer.ports.fleet import EnrolledNode, NodeReport
from wellkeeper_node.agent.report import Report, ResponderReport
from wellkeeper_node.bundles.manifest import Manifest

NOW = datetime.now(UTC)
FLEET = "local_node = false\n[fleet]\nlisten = ['10.0.0.1:8404']\nrelay = 'unix:/nonexistent/relay.sock'"


@pytest.fixture
def host(program: Program) -> Program:
    """Return the program on a host without nginx, with keys."""
    program.configure(more=FLEET)
    assert program.run("init").exit_code == 0
    return program


def publishing(program: Program) -> SigningKey:
    return SigningKey(program.state_dir, "publishing_key", "publishing")


def join(
    program: Program, name: str, report: Report | None = None, *, answers: bool = True, is_gone: bool = False
) -> None:
    """Record a node, with its report if it has one; one that is gone is ephemeral."""
    since = NOW - timedelta(hours=1) if is_gone else NOW
    node = EnrolledNode(name, "s" * 43, "e" * 43, ("*",), answers, since, is_ephemeral=is_gone)

    async def record() -> None:
        async with open_state(program.state_dir / "state.db", may_write=True) as state:
            await state.fleet.record_node(node)
            if report is not None:
                await state.fleet.record_reports(NodeReport(name, 1, NOW, json.dumps(report.to_json())))

    asyncio.run(record())


def trusting(*key_ids: str) -> Report:
    return Report("1.0", NOW.timestamp(), responder=ResponderReport(publishing_key_ids=key_ids), fleet_key_ids=key_ids)


def test_next_key_is_made_once(host: Program) -> None:
    path = publishing(host).next_path
    made = host.run("key", "prepare", "publishing")
    following = "Next: sudo wellkeeper trust --write, then copy the trust file to the other nodes.\n"
    assert (made.exit_code, made.out) == (0, f"made   {path}\n{following}")
    before = path.read_bytes()
    assert host.run("key", "prepare", "publishing").out == f"kept   {path}\n{following}"
    assert path.read_bytes() == before


def test_next_account_keys_are_made_for_all_cas_or_one(program: Program) -> None:
    program.configure()
    text = program.config.read_text()
    program.config.write_text(text.replace("ca = 'https://127.0.0.1:1/directory'", "ca = ['letsencrypt', 'zerossl']"))
    program.run("init")
    made = program.run("key", "prepare", "account", "--ca", "zerossl", "--json").json()
    assert_documented("key prepare", made)
    (one,) = made["keys"]
    assert one["is_new"]
    both = program.run("key", "prepare", "account", "--json").json()["keys"]
    assert [key["is_new"] for key in both] == [True, False]
    assert one["path"] == both[1]["path"]


def test_list_shows_states_and_who_does_not_trust_a_key(host: Program) -> None:
    host.run("key", "prepare", "publishing")
    host.run("key", "prepare", "account")
    current, following = map(key_id, publishing(host).trusted)
    join(host, "web2", trusting(current))
    join(host, "web3")
    join(host, "web4", answers=False)
    join(host, "web5", is_gone=True)
    FleetKeys(host.state_dir).make()
    listed = host.run("key", "list")
    assert listed.exit_code == 0
    lines = [line.split(maxsplit=3) for line in listed.out.replace("account 127.0.0.1", "account").splitlines()]
    assert [(*line[:2], line[3]) for line in lines[1:]] == [
        ("publishing", "current", "web3"),
        ("publishing", "next", "web2, web3"),
        ("fleet", "current", "the relay, web2, web3, web4"),
        ("fleet", "next", "the relay, web2, web3, web4"),
        ("account", "current", "web2, web3"),
        ("account", "next", "web2, web3"),
    ]
    found = host.run("key", "list", "--json").json()
    assert_documented("key list", found)
    assert (found["keys"][1]["id"], found["keys"][1]["lacking"]) == (
        following,
        {"web2": "it does not trust the key yet", "web3": "node 'web3' has not reported yet"},
    )


def test_switch_is_refused_while_a_node_lacks_the_key_and_force_leaves_it_behind(host: Program) -> None:
    host.run("key", "prepare", "publishing")
    current, following = map(key_id, publishing(host).trusted)
    join(host, "web2", trusting(current))
    refused = host.run("key", "switch", "publishing")
    assert refused.exit_code == 1
    assert "cannot switch the publishing key yet\n  web2: it does not trust the key yet\n" in refused.err
    forced = host.run("key", "switch", "publishing", "--force")
    assert (forced.exit_code, forced.err) == (0, "warning: web2: it does not trust the key yet\n")
    assert forced.out == f"The publishing key is now {following}\nNext: sudo wellkeeper key retire publishing\n"
    assert list(map(key_id, publishing(host).trusted)) == [following, current]
    assert "# the former key" in host.run("trust").out


def test_former_key_is_retired_once_all_nodes_trust_the_current_one(host: Program) -> None:
    host.run("key", "prepare", "publishing")
    current, following = map(key_id, publishing(host).trusted)
    join(host, "web2", trusting(current))
    assert host.run("key", "retire", "publishing").out == "There is no former publishing key to retire.\n"
    host.run("key", "switch", "publishing", "--force")
    refused = host.run("key", "retire", "publishing")
    assert refused.exit_code == 1
    assert "cannot retire the former publishing key yet\n  web2: it does not trust the key yet\n" in refused.err
    join(host, "web2", trusting(current, following))
    retired = host.run("key", "retire", "publishing")
    assert (retired.exit_code, retired.out.splitlines()[0]) == (0, "The former publishing key is retired.")
    assert list(map(key_id, publishing(host).trusted)) == [following]


def test_key_is_retired_by_force_although_a_node_does_not_trust_the_current_one(host: Program) -> None:
    host.run("key", "prepare", "publishing")
    join(host, "web2")
    host.run("key", "switch", "publishing", "--force")
    assert_documented("key retire", host.run("key", "retire", "publishing", "--force", "--json").json())
    assert publishing(host).former is None


@pytest.mark.parametrize(
    ("kind", "what"),
    [("publishing", "cannot switch the publishing key"), ("account", "cannot switch the account key at the CA")],
)
def test_switch_needs_a_prepared_key(host: Program, kind: str, what: str) -> None:
    refused = host.run("key", "switch", kind)
    assert refused.exit_code == 2
    assert what in refused.err
    assert f"Run 'wellkeeper key prepare {kind}' first." in refused.err


def test_second_switch_says_first_that_the_former_key_is_to_be_retired(host: Program) -> None:
    FleetKeys(host.state_dir).make()
    host.run("key", "prepare", "publishing")
    for kind, key in (("publishing", publishing(host)), ("fleet", FleetKeys(host.state_dir))):
        key.switch()
        refused = host.run("key", "switch", kind)
        assert refused.exit_code == 2
        assert f"Run 'wellkeeper key retire {kind}' first." in refused.err


def test_former_fleet_key_is_kept_while_it_has_signed_the_manifest(host: Program) -> None:
    keys = FleetKeys(host.state_dir)
    keys.make()
    before = keys.current
    switched = host.run("key", "switch", "fleet", "--force")
    following = "Next: sudo wellkeeper fleet listen 10.0.0.1:8404, then sudo wellkeeper key retire fleet"
    assert switched.out.splitlines()[-1] == following
    manifest, path = Manifest(1, 1, {}, {}, {}), host.state_dir / "manifest.jws"
    path.write_bytes(sign_manifest(manifest, before))
    host.configure(more=FLEET.replace("/nonexistent/relay.sock", f"{host.folder}/issuer.sock"))
    with running_relay(host.folder, *keys.trusted):
        refused = host.run("key", "retire", "fleet")
        assert refused.exit_code == 1
        assert "cannot retire the former fleet key yet\n  it has signed the last manifest\n" in refused.err
        path.write_bytes(sign_manifest(manifest, keys.current))
        assert host.run("key", "retire", "fleet").exit_code == 0


def test_former_fleet_key_is_retired_by_force_although_it_has_signed_the_manifest(host: Program) -> None:
    keys = FleetKeys(host.state_dir)
    keys.make()
    (host.state_dir / "manifest.jws").write_bytes(sign_manifest(Manifest(1, 1, {}, {}, {}), keys.current))
    keys.switch()
    assert host.run("key", "retire", "fleet", "--force").exit_code == 0


def test_remedy_is_for_those_that_do_not_trust_the_key(host: Program) -> None:
    FleetKeys(host.state_dir).make()
    listen, copy = "Run 'wellkeeper fleet listen' again", "copy the trust file"
    err = host.run("key", "switch", "fleet").err
    assert (listen in err, copy in err) == (True, False)
    join(host, "web2")
    err = host.run("key", "switch", "fleet").err
    assert (listen in err, copy in err) == (True, True)


def test_ca_that_does_not_answer_leaves_the_account_key(host: Program) -> None:
    host.run("key", "prepare", "account")
    before = host.run("key", "list", "--json").json()
    refused = host.run("key", "switch", "account", "--force", "--json")
    assert refused.exit_code == 1
    assert host.run("key", "list", "--json").json() == before


def test_relay_and_responders_that_do_not_answer_are_named(host: Program) -> None:
    program = host
    FleetKeys(program.state_dir).make()
    assert "\n  the relay: cannot " in program.run("key", "switch", "fleet").err
    program.configure()
    program.run("key", "prepare", "publishing")
    assert "\n  local: cannot " in program.run("key", "switch", "publishing").err
