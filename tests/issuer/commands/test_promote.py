"""promote: refused while the other issuer may work; then the standby continues with what its node has."""

import asyncio
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.fakes_deliver import FakeCa, dns
from tests.fleet import OTHER_LEAF, entry
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.standbys import FLEET, NODE, StandbyHost
from tests.issuer.commands.statuses import ATTEMPT, HOUR, LIMITED, NAME, NOW, install, record, write
from tests.json_docs import assert_documented
from wellkeeper_client import records
from wellkeeper_client.heartbeats import Heartbeat, IssuerId
from wellkeeper_client.signing import key_id
from wellkeeper_issuer.fleet.manifest import sign_manifest
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.state.state import open_state
from wellkeeper_node.agent.report import Report
from wellkeeper_node.agent.shown import Shown, StatusFile
from wellkeeper_node.bundles.kept import ManifestFile
from wellkeeper_node.bundles.manifest import Manifest
from wellkeeper_node.certificates.placeholders import make_self_signed
from wellkeeper_node.model import Flip, Pair

OTHER = IssuerId("b" * 22, "web1", 1)


class Node:
    """A standby whose agent runs, has the fleet's manifest, and hears no issuer."""

    def __init__(self, host: StandbyHost) -> None:
        self.host, self.program = host, host.program
        assert host.restore().exit_code == 0
        self.key = FleetKeys(self.program.state_dir).current
        self.status = host.node_dir / "status.json"
        self.hear()
        self.keep(5)

    def hear(self, *heartbeats: str, relays: dict[str, str] | None = None) -> None:
        shown = Shown(Report("1.2.3", time.time(), heartbeats=heartbeats), relays or {"10.0.0.1:8404": "refused"})
        asyncio.run(StatusFile(NODE, self.host.node_dir).write(shown))

    def beat(self, age: int = 9, key: Ed25519PrivateKey | None = None) -> str:
        return records.sign(Heartbeat(OTHER, int(time.time()) - age).to_record(), key or self.key)

    def keep(self, number: int, key: Ed25519PrivateKey | None = None) -> None:
        manifest = Manifest(number, number, {NAME: entry(number)}, {}, {NAME: frozenset({OTHER_LEAF})})
        self.kept(self.host.node_dir, key).take(sign_manifest(manifest, key or self.key))

    def kept(self, folder: Path, key: Ed25519PrivateKey | None = None) -> ManifestFile:
        public = (key or self.key).public_key()
        return ManifestFile(folder / "manifest.jws", {key_id(public): public})

    def uses(self) -> list[tuple[str, float]]:
        with closing(sqlite3.connect(self.program.state_dir / "state.db")) as connection:
            return connection.execute("SELECT spent, at FROM uses ORDER BY at").fetchall()

    def left(self) -> tuple[dict[str, Flip], list[str]]:
        """Return what must be delivered, and the certificates with an attempt."""

        async def read() -> tuple[dict[str, Flip], list[str]]:
            async with open_state(self.program.state_dir / "state.db", may_write=False) as state:
                return await state.deliveries.undelivered(), list(await state.attempts.under_way())

        return asyncio.run(read())

    @property
    def is_standby(self) -> bool:
        return (self.program.state_dir / "standby.json").exists()


@pytest.fixture
def host(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandbyHost:
    return StandbyHost(program, tmp_path, monkeypatch)


@pytest.fixture
def node(host: StandbyHost) -> Node:
    return Node(host)


def test_standby_becomes_the_issuer_with_the_manifest_of_its_node(program: Program, node: Node) -> None:
    finished = program.run("promote")
    assert finished.exit_code == 0, finished
    lines = finished.out.splitlines()
    assert lines[0] == f"this host is the issuer now, instead of {os.uname().nodename}"
    assert lines[1] == "relay     10.0.0.1:8404: refused"
    assert "lacks     b.example, which is ordered again" in lines
    assert "Run 'wellkeeper-node leave --yes'" in finished.out
    assert "the issuer orders nothing until all nodes have reported" in finished.out
    assert not node.is_standby
    assert node.host.nodes() == []
    kept = node.kept(program.state_dir).read()
    assert kept is not None
    assert kept.manifest.number == 5
    assert (program.certificates_dir / "archive" / NAME / f".revoked-{OTHER_LEAF}").exists()
    assert node.host.is_untouched()
    assert program.run("node", "list").exit_code == 0
    assert program.run("trust").exit_code == 0


def test_promotion_is_refused_while_the_other_issuer_is_heard(program: Program, node: Node) -> None:
    node.hear(node.beat())
    finished = program.run("promote")
    assert finished.exit_code == 1
    what, why, remedy = finished.err.splitlines()
    assert what == "wellkeeper: cannot promote this standby yet"
    assert why.startswith("  the issuer on web1 (bbbbbbbb) was heard ")
    assert remedy == "  Stop that issuer, or wait five minutes after its loss; --force promotes anyway."
    assert node.is_standby


def test_agent_that_does_not_run_is_a_reason_to_refuse(program: Program, node: Node) -> None:
    at = time.time() - 200
    os.utime(node.status, (at, at))
    assert "wellkeeper-node is not running here" in program.run("promote").err
    node.status.unlink()
    assert "wellkeeper-node is not running here" in program.run("promote").err
    assert node.is_standby


def test_fleet_key_that_was_switched_since_is_a_reason_to_refuse(program: Program, node: Node) -> None:
    key = Ed25519PrivateKey.generate()
    (node.host.node_dir / "manifest.jws").unlink()
    node.keep(6, key)
    node.hear(node.beat(key=key))
    found = program.run("promote", "--dry-run", "--json").json()
    assert_documented("promote", found)
    heard, manifest = found["doubts"]
    assert heard.startswith("an issuer was heard in the last minutes: ")
    assert manifest.startswith(f"{node.host.node_dir}/manifest.jws has no manifest of a fleet key in the backup")
    assert program.run("promote").exit_code == 1


def test_force_promotes_after_warnings(program: Program, node: Node) -> None:
    node.hear(node.beat())
    (node.host.node_dir / "manifest.jws").unlink()
    finished = program.run("promote", "--force")
    assert finished.exit_code == 0, finished
    first, second = [line for line in finished.err.splitlines() if line.startswith("warning: ")]
    assert "was heard" in first
    assert "has no manifest" in second
    assert not node.is_standby


def test_dry_run_changes_nothing(program: Program, node: Node) -> None:
    finished = program.run("promote", "--dry-run")
    assert finished.exit_code == 0
    assert finished.out.startswith("this host is a standby for the issuer on ")
    assert "Next steps" not in finished.out
    assert node.is_standby
    assert node.host.nodes() == [NODE]


def test_certificates_issued_after_the_backup_count_for_limits_once(program: Program, host: StandbyHost) -> None:
    host.restore()
    (program.state_dir / "standby.json").unlink()
    host.back_up(f"{FLEET}\n{LIMITED}")
    node = Node(host)
    for _ in range(2):
        install(program, FakeCa(datetime.now(UTC) + timedelta(minutes=30)).pair(dns(NAME)))
    mark = (program.state_dir / "standby.json").read_bytes()
    found = program.run("promote", "--json").json()
    assert_documented("promote", found)
    assert (found["is_promoted"], found["issued"]) == (True, 2)
    uses = node.uses()
    assert [spent for spent, _ in uses] == ["order"] * 4
    (program.state_dir / "standby.json").write_bytes(mark)  # it was killed before it removed the mark
    assert program.run("promote").exit_code == 0
    assert node.uses() == uses


def test_version_that_the_backup_was_to_deliver_does_not_replace_a_newer_one(program: Program, node: Node) -> None:
    older, newer = install(program, pair(-HOUR)), install(program, pair(HOUR))
    record(program, older)
    assert program.run("promote").exit_code == 0
    assert node.left() == ({NAME: Flip(NAME, newer, newer)}, [])


def test_version_that_the_node_has_not_got_is_not_delivered(program: Program, node: Node) -> None:
    live = install(program, pair(-HOUR))
    record(program, "20990101T000000Z-00000000")
    assert program.run("promote").exit_code == 0
    assert node.left() == ({NAME: Flip(NAME, live, live)}, [])


def test_newer_version_of_the_node_that_is_not_live_is_still_to_be_delivered(program: Program, node: Node) -> None:
    older = pair(-HOUR)
    install(program, older)
    newer = install(program, pair(HOUR))
    install(program, older)
    record(program, newer)
    assert program.run("promote").exit_code == 0
    assert node.left() == ({NAME: Flip(NAME, None, newer)}, [])


@pytest.mark.parametrize(
    ("chain_age", "live_age", "is_kept"),
    [(1, 0, False), (0, 1, True), (None, -1, False), (None, 1, True)],
)
def test_attempt_of_the_backup_is_forgotten_if_the_node_has_something_newer(
    program: Program, node: Node, chain_age: int | None, live_age: int, is_kept: bool
) -> None:
    install(program, pair(-live_age * HOUR))
    chain_pem = None if chain_age is None else pair(-chain_age * HOUR).chain_pem
    write(program, lambda state: state.attempts.record_attempt(replace(ATTEMPT, chain_pem=chain_pem)))
    assert program.run("promote").exit_code == 0
    assert node.left() == ({}, [NAME] * is_kept)


def test_attempt_for_a_certificate_that_the_node_lacks_is_kept(program: Program, node: Node) -> None:
    attempt = replace(ATTEMPT, lineage="b.example", chain_pem=pair(-HOUR).chain_pem)
    write(program, lambda state: state.attempts.record_attempt(attempt))
    assert program.run("promote").exit_code == 0
    assert node.left() == ({}, ["b.example"])


def test_placeholder_of_the_node_is_nothing_newer(program: Program, node: Node) -> None:
    older = install(program, pair(-HOUR))
    install(program, make_self_signed([dns(NAME)], 1, NOW + HOUR))
    record(program, older)
    attempt = replace(ATTEMPT, chain_pem=pair(-HOUR).chain_pem)
    write(program, lambda state: state.attempts.record_attempt(attempt))
    assert program.run("promote").exit_code == 0
    assert node.left() == ({NAME: Flip(NAME, None, older)}, [NAME])


def pair(later: timedelta) -> Pair:
    return FakeCa(NOW + later).pair(dns(NAME))


def test_newer_manifest_in_the_backup_stays(program: Program, node: Node) -> None:
    node.kept(program.state_dir).take(sign_manifest(Manifest(9, 9, {NAME: entry(9)}, {}, {}), node.key))
    assert program.run("promote").exit_code == 0
    kept = node.kept(program.state_dir).read()
    assert kept is not None
    assert kept.manifest.number == 9


def test_newer_manifest_in_the_backup_marks_what_it_disowns(program: Program, node: Node) -> None:
    (node.host.node_dir / "manifest.jws").unlink()
    disown = {NAME: frozenset({OTHER_LEAF})}
    node.kept(program.state_dir).take(sign_manifest(Manifest(9, 9, {NAME: entry(9)}, {}, disown), node.key))
    assert program.run("promote", "--force").exit_code == 0
    assert (program.certificates_dir / "archive" / NAME / f".revoked-{OTHER_LEAF}").exists()


def test_disowned_certificate_that_is_not_here_needs_no_mark(program: Program, node: Node) -> None:
    disown = {"gone.example": frozenset({OTHER_LEAF})}
    manifest = Manifest(6, 6, {"gone.example": entry(6)}, {}, disown)
    node.kept(node.host.node_dir).take(sign_manifest(manifest, node.key))
    assert program.run("promote").exit_code == 0
    assert not (program.certificates_dir / "archive/gone.example").exists()


def test_host_that_is_no_standby_is_refused(program: Program, node: Node) -> None:
    program.run("promote")
    finished = program.run("promote")
    assert finished.exit_code == 2
    assert "cannot promote this host\n  it is not a standby" in finished.err
    assert not node.is_standby
