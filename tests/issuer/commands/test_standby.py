"""restore --standby: state and settings of an issuer on a node, where nothing changes them until a promotion."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.fakes_deliver import FakeCa
from tests.issuer.commands.backups import Backup, files
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.standbys import FLEET, NODE, StandbyHost
from tests.issuer.commands.statuses import NAME
from tests.issuer.commands.test_node import LINE
from tests.json_docs import assert_documented
from wellkeeper_issuer.outside.state.lock import DECIDED, STAGING
from wellkeeper_issuer.outside.state.standby import MARK

# What would order, publish, sign, or change keys and settings.
CHANGES: Final = [
    ["renew"],
    ["renew", NAME, "--force"],
    ["run"],
    ["rehearse"],
    ["revoke", NAME],
    ["placeholder"],
    ["trust", "--write"],
    ["certificate", "add", "other.example"],
    ["certificate", "remove", NAME, "--yes"],
    ["publisher", "add", "x", "--account-key", "x.key", "--identifier", "a.example"],
    ["publisher", "remove", "x"],
    ["deliver", "other", "--chain", "x.pem", "--key", "x.key"],
    ["fleet", "listen", "127.0.0.1:8404"],
    ["engine", "acl"],
    ["engine", "use", "redis://10.0.0.9"],
    ["engine", "use", "--none"],
    ["node", "add", "web9", LINE],
    ["node", "invite", "web9"],
    ["node", "remove", NODE, "--yes"],
    ["key", "prepare", "publishing"],
    ["key", "switch", "fleet"],
    ["key", "retire", "fleet"],
    ["account", "register"],
    ["account", "rollover"],
    ["account", "deactivate", "--yes"],
    ["backup", "other.age", "--recipient", "age1"],
]


@pytest.fixture
def host(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandbyHost:
    return StandbyHost(program, tmp_path, monkeypatch)


def test_standby_has_state_and_settings_beside_what_the_node_has(program: Program, host: StandbyHost) -> None:
    finished = host.restore()
    assert finished.exit_code == 0, finished
    assert finished.out.splitlines()[-3:] == [
        "Next steps:",
        "  1. Run this command again with each newer backup; it replaces this one.",
        f"  2. If the issuer on {host.mark()['host']} is lost, run 'wellkeeper promote' here.",
    ]
    assert host.is_untouched()
    assert host.nodes() == [NODE]
    assert program.config.exists()
    assert not list(program.folder.rglob(STAGING))


def test_nothing_is_changed_on_a_standby(program: Program, host: StandbyHost) -> None:
    host.restore()
    before = files(program.folder)
    for command in CHANGES:
        finished = program.run(*command)
        assert finished.exit_code == 1, finished
        first, second, third = finished.err.splitlines()
        assert first.startswith("wellkeeper: this host is a standby for the issuer on "), command
        assert second.startswith("  from its backup of ")
        assert third == "  Run 'wellkeeper promote' if that issuer is lost."
    assert files(program.folder) == before


# What only shows something.
SHOWS = ["list", "history", "config check", "key list", "node list", "node invites", "trust", f"why {NAME}"]


@pytest.mark.parametrize("command", SHOWS)
def test_commands_that_only_show_something_work(program: Program, host: StandbyHost, command: str) -> None:
    host.restore()
    assert program.run(*command.split()).exit_code == 0


def test_status_shows_the_standby_and_the_time_of_its_backup(program: Program, host: StandbyHost) -> None:
    host.restore()
    line, following = program.run("status").out.splitlines()[-2:]
    assert line.startswith(f"this host is a standby for the issuer on {host.mark()['host']}, from its backup of ")
    assert following == "Next: sudo wellkeeper promote, if that issuer is lost"
    found = program.run("status", "--json").json()
    assert found["standby"] == host.mark()
    assert_documented("status", found)


def test_newer_backup_replaces_an_earlier_one_and_leaves_nothing_of_it(program: Program, host: StandbyHost) -> None:
    host.restore()
    former = host.mark()
    drop_in = program.config.with_suffix(".d") / "former.toml"
    key = program.state_dir / "accounts/former.pem"
    for path in (drop_in, key, program.state_dir / "former.json", program.state_dir / "state.db-wal"):
        path.write_text("")
    (program.state_dir / "bundles").mkdir(exist_ok=True)
    program.config.write_text(f"{program.config.read_text()}\n# edited")
    finished = host.restore()
    assert finished.exit_code == 0, finished
    assert host.mark() == former
    assert not [path for path in (drop_in, key) if path.exists()]
    assert not list(program.state_dir.glob("former.json"))
    assert "# edited" not in program.config.read_text()
    assert host.nodes() == [NODE]
    assert host.is_untouched()
    assert not list(program.folder.rglob(STAGING))


def test_backup_that_cannot_be_used_leaves_the_earlier_standby(host: StandbyHost) -> None:
    host.restore()
    host.backup.file.write_bytes(host.backup.file.read_bytes()[:-1])
    assert host.restore().exit_code == 1
    assert host.nodes() == [NODE]


@pytest.mark.parametrize("is_removed", [False, True])
def test_replacement_that_was_killed_is_completed(program: Program, host: StandbyHost, is_removed: bool) -> None:
    host.restore()
    (program.state_dir / "former.json").write_text("")
    interrupt(host.backup, ["state.db"], ["former.json"])
    if not is_removed:
        (program.state_dir / "state.db").write_text("former")
    assert host.restore("--json").json()["is_continued"]
    assert host.nodes() == [NODE]
    assert not (program.state_dir / "former.json").exists()
    assert not (program.state_dir / STAGING).exists()


def test_issuer_is_never_replaced_by_a_standby(program: Program, host: StandbyHost) -> None:
    host.restore()
    promote_by_hand(program)
    finished = host.restore()
    assert (finished.exit_code, "cannot restore over what is there" in finished.err) == (1, True)


def test_standby_is_not_replaced_by_an_issuer(host: StandbyHost) -> None:
    host.restore()
    finished = host.backup.restore()
    assert (finished.exit_code, "cannot restore over what is there" in finished.err) == (1, True)


def test_host_that_is_not_a_node_is_refused(program: Program, host: StandbyHost) -> None:
    host.config.unlink()
    finished = host.restore()
    assert finished.exit_code == 1
    assert "node.toml does not exist" in finished.err
    assert not program.state_dir.exists()


def test_other_directory_of_certificates_is_refused(program: Program, host: StandbyHost) -> None:
    host.write_node(f"name = '{NODE}'\nrelays = ['127.0.0.1:1']\ncertificates_dir = '/srv/certificates'")
    finished = host.restore()
    assert finished.exit_code == 1
    assert "its node has certificates_dir = /srv/certificates, but the issuer has " in finished.err
    assert not program.state_dir.exists()


def test_issuer_without_a_fleet_has_no_standby(program: Program, host: StandbyHost) -> None:
    host.restore()
    promote_by_hand(program)
    host.back_up("")
    finished = host.restore()
    assert finished.exit_code == 1
    assert "has no fleet, but this host is a node of one" in finished.err


def test_node_that_is_not_enrolled_in_the_backup_is_named(program: Program, host: StandbyHost) -> None:
    lines = "name = 'web7'", "relays = ['127.0.0.1:1']", f"certificates_dir = '{program.certificates_dir}'"
    host.write_node("\n".join(lines))
    assert "node web7 gets no certificate, as it is not enrolled in this backup, and" in host.restore().out


def test_node_that_gets_only_some_certificates_is_named(program: Program, host: StandbyHost) -> None:
    host.restore()
    promote_by_hand(program)
    host.back_up(FLEET, "node", "add", NODE, LINE, "--certificates", NAME)
    assert f"node web2 gets only {NAME}, and a promotion orders the others" in host.restore().out


def promote_by_hand(program: Program) -> None:
    (program.state_dir / MARK).unlink()


def test_host_with_a_comma_in_its_name_is_named(program: Program, host: StandbyHost) -> None:
    host.restore()
    (program.state_dir / MARK).write_text(json.dumps({**host.mark(), "host": "web1, rack 2"}))
    first, second, _ = program.run("renew").err.splitlines()
    assert first == "wellkeeper: this host is a standby for the issuer on web1, rack 2"
    assert second.startswith("  from its backup of ")


def test_damaged_mark_is_an_error_and_still_a_standby(program: Program, host: StandbyHost) -> None:
    host.restore()
    mark = program.state_dir / "standby.json"
    mark.write_text("{}")
    finished = program.run("renew")
    assert (finished.exit_code, f"cannot use {mark}" in finished.err) == (1, True)
    mark.unlink()
    mark.mkdir()
    finished = program.run("renew")
    assert (finished.exit_code, f"cannot read {mark}" in finished.err) == (1, True)


@pytest.mark.parametrize("is_folder", [False, True])
def test_newer_backup_replaces_no_file_elsewhere(
    program: Program, host: StandbyHost, tmp_path: Path, is_folder: bool
) -> None:
    host.restore()
    promote_by_hand(program)
    bundle = name_bundle(host, tmp_path / "elsewhere")
    bundle.unlink()
    assert host.restore().exit_code == 0
    found = bundle / "of the host" if is_folder else bundle
    if is_folder:
        bundle.unlink()
        bundle.mkdir()
    found.write_text("of the host")
    finished = host.restore()
    assert finished.exit_code == 1
    assert f"cannot restore over what is there\n  {bundle} exists" in finished.err
    assert host.restore("--dry-run", "--json").json()["exists"] == [str(bundle)]
    assert found.read_text() == "of the host"


def test_newer_backup_replaces_files_beside_the_settings_but_no_folder(program: Program, host: StandbyHost) -> None:
    host.restore()
    promote_by_hand(program)
    bundle = name_bundle(host, program.config.parent)
    assert host.restore().exit_code == 0
    restored = bundle.read_text()
    bundle.write_text("edited")
    assert host.restore().exit_code == 0
    assert bundle.read_text() == restored
    bundle.unlink()
    bundle.mkdir()
    (bundle / "of the host").touch()
    assert f"{bundle} exists" in host.restore().err


def name_bundle(host: StandbyHost, folder: Path) -> Path:
    """Let the issuer's settings name a CA bundle, make its backup, and return the place of the bundle."""
    folder.mkdir(exist_ok=True)
    bundle = folder / "ca.pem"
    bundle.write_bytes(FakeCa().root.public_bytes(Encoding.PEM))
    host.back_up(f"{FLEET}\n[[cas]]\nname = 'own'\ndirectory = 'https://ca.example/d'\nbundle = '{bundle}'")
    return bundle


def test_interrupted_standby_stays_one_when_it_is_completed_without_the_option(host: StandbyHost) -> None:
    host.restore()
    interrupt(host.backup, ["state.db", MARK])
    finished = host.backup.restore()
    assert "run 'wellkeeper promote' here." in finished.out.splitlines()[-1]
    assert restored_as(host) == "standby"


def test_interrupted_restore_of_an_issuer_stays_one_when_it_is_completed_as_a_standby(host: StandbyHost) -> None:
    host.backup.lose()
    host.backup.restore()
    interrupt(host.backup, ["state.db"])
    (host.program.certificates_dir / STAGING).mkdir()
    assert not host.restore("--dry-run", "--json").json()["exists"]
    finished = host.restore()
    assert "the issuer orders nothing until all nodes have reported" in finished.out.splitlines()[-1]
    assert restored_as(host) is None
    assert not list(host.program.folder.rglob(STAGING))


def interrupt(backup: Backup, names: list[str], gone: Sequence[str] = ()) -> None:
    """Put files of the state back, as if the process had been killed before it renamed them, and removed others."""
    where = backup.program.state_dir
    (where / STAGING).mkdir()
    for name in names:
        (where / name).rename(where / STAGING / name)
    digest = hashlib.sha256(backup.file.read_bytes()).hexdigest()
    tops, removed = [[str(where), name] for name in names], [[str(where), name] for name in gone]
    decision = {"digest": digest, "tops": tops, "gone": removed}
    (where / STAGING / DECIDED).write_text(json.dumps(decision))


def restored_as(host: StandbyHost) -> str | None:
    """Return what the history says about the last restore."""
    details: dict[str, str] = host.program.run("history", "--json").json()["events"][-1]["details"]
    return details.get("as")
