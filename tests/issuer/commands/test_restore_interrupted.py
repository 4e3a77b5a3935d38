"""restore, killed at each step: the next run completes it or begins again."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.issuer.commands.backups import Backup, files, make_backup
from tests.issuer.commands.conftest import Program
from wellkeeper_issuer.outside.state.lock import DECIDED, STAGING


@pytest.fixture
def backup(program: Program, tmp_path: Path) -> Backup:
    return make_backup(program, tmp_path)


@pytest.mark.parametrize("count", range(7))
def test_restore_that_was_killed_while_it_renamed_is_completed(program: Program, backup: Backup, count: int) -> None:
    backup.lose()
    interrupt(backup, count)
    refused = program.run("renew")
    assert refused.exit_code != 0
    found = backup.restore("--json").json()
    assert found["is_continued"]
    assert files(program.folder) == backup.before
    assert not list(program.folder.rglob(STAGING))


def interrupt(backup: Backup, count: int) -> None:
    """Restore, then put the last renames back, as if the process had been killed after `count` of them."""
    assert backup.restore().exit_code == 0
    state_dir, root, config = backup.program.state_dir, backup.program.certificates_dir, backup.program.config
    places = [state_dir / name for name in ("state.db", "accounts", "publishing_key.pem")]
    places += [root / "archive", config.with_suffix(".d") / "b.toml", root / "live", config]
    for place in places:
        staging = place.parent / STAGING
        staging.mkdir(exist_ok=True)
        if place in places[count:]:
            place.rename(staging / place.name)
    tops = [(str(place.parent), place.name) for place in places]
    text = json.dumps({"digest": hashlib.sha256(backup.file.read_bytes()).hexdigest(), "tops": tops})
    (state_dir / STAGING / DECIDED).write_text(text)


def test_another_process_cannot_own_a_state_that_is_not_complete(program: Program, backup: Backup) -> None:
    backup.lose()
    interrupt(backup, 7)
    refused = program.run("renew")
    assert refused.err == (
        f"wellkeeper: cannot use {program.state_dir}\n  a restore was interrupted there\n"
        "  Run 'wellkeeper restore' with the same file to complete it.\n"
    )


def test_interrupted_restore_of_another_backup_is_not_completed(program: Program, backup: Backup) -> None:
    backup.lose()
    interrupt(backup, 0)
    backup.change(lambda plain: plain)
    finished = backup.restore()
    assert finished.exit_code == 1
    assert "the restore of another backup was interrupted there" in finished.err
    assert (program.state_dir / STAGING / DECIDED).exists()


def test_restore_that_was_killed_before_it_renamed_begins_again(program: Program, backup: Backup) -> None:
    backup.lose()
    for path in (program.state_dir, program.certificates_dir, program.config.parent):
        (path / STAGING / "archive").mkdir(parents=True)
        (path / STAGING / "issuer.toml").write_text("half")
    program.state_dir.chmod(0o700)
    assert backup.restore("--json").json()["is_continued"] is False
    assert files(program.folder) == backup.before
