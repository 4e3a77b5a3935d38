"""prepare in volumes: writable for all, read-only, full, of another user, and filled by two at once."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from stand.processes import find_program
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.test_prepare import AGREE, places, prepare
from tests.unprivileged import UNPRIVILEGED_ID, as_unprivileged_user, as_user
from wellkeeper_client import permissions
from wellkeeper_issuer.commands import prepare as prepare_command
from wellkeeper_issuer.commands.files import shipped_files
from wellkeeper_issuer.outside.keys import accounts
from wellkeeper_issuer.settings import read_settings
from wellkeeper_node import durable
from wellkeeper_node.certificates import folders

# A fixture, and what the command imports later: that user may not read a Python in root's home.
LOADED = (places, prepare_command, accounts, folders, dict(shipped_files()))
CERTIFICATE = ("--certificate", "a.example")
pytestmark = pytest.mark.root


@pytest.fixture
def volumes(program: Program) -> Iterator[list[Path]]:
    """Mount a volume at each directory, as Kubernetes does: of root, and writable by all users."""
    program.folder.chmod(0o755)
    mount, umount = find_program("mount"), find_program("umount")
    mounted = [program.folder / name for name in ("etc", "issuer", "certificates", "program", "trust", "agent")]
    for path in mounted:
        path.mkdir()
        subprocess.run([mount, "-t", "tmpfs", "-o", "mode=2777,size=1m", "volume", path], check=True)
    yield mounted
    for path in mounted:
        subprocess.run([umount, path], check=True)


def remount(path: Path, options: str) -> None:
    subprocess.run([find_program("mount"), "-o", f"remount,{options}", path], check=True)


def test_volumes_that_every_user_may_write_to_are_filled(
    program: Program, volumes: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(permissions.VOLUMES, "1")
    with as_unprivileged_user():
        prepare(program, AGREE, *CERTIFICATE)
        assert prepare(program).out == "Nothing to do: everything is in place.\n"
    made = [path for volume in volumes for path in volume.rglob("*") if not path.is_symlink()]
    assert {path.stat().st_uid for path in made} == {UNPRIVILEGED_ID}
    assert [path for path in made if path.stat().st_mode & 0o022] == []
    private = [path for path in made if program.state_dir in path.parents]
    assert [path for path in private if path.stat().st_mode & 0o077] == []


def test_rights_that_kubernetes_gives_to_the_group_are_taken_back(
    program: Program, volumes: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does so at each start of a pod (fsGroup)."""
    monkeypatch.setenv(permissions.VOLUMES, "1")
    with as_unprivileged_user():
        prepare(program, AGREE, *CERTIFICATE)
    (program.state_dir / "link").symlink_to("nowhere")
    for path in (one for volume in volumes for one in volume.rglob("*") if not one.is_symlink()):
        path.chmod(path.stat().st_mode | (0o2770 if path.is_dir() else 0o660))
    with as_unprivileged_user():
        done = prepare(program, "--json").json()
        assert {f"{program.config}", f"{program.state_dir}/publishing_key.pem"} < set(done["modes_corrected"])
        assert prepare(program).out == "Nothing to do: everything is in place.\n"
    private = [path for path in program.state_dir.rglob("*") if path.stat(follow_symlinks=False).st_mode & 0o077]
    assert [path.name for path in private] == ["link"]


def test_one_line_says_that_modes_were_corrected(program: Program) -> None:
    prepare(program, AGREE, *CERTIFICATE)
    program.config.chmod(0o664)
    program.state_dir.chmod(0o770)
    assert f"mode   {program.config} and 1 more: corrected, because others had access\n" in prepare(program).out


def test_volume_above_gets_directories_with_their_own_modes(
    program: Program, volumes: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(permissions.VOLUMES, "1")
    for name in ("STATE_DIR", "CERTIFICATES_DIR", "PROGRAM"):
        monkeypatch.setenv(f"WELLKEEPER_{name}", str(volumes[1] / name))
    with as_unprivileged_user():
        prepare(program, AGREE, *CERTIFICATE)
    found = [(volumes[1] / name).stat().st_mode & 0o7777 for name in ("STATE_DIR", "CERTIFICATES_DIR", "PROGRAM")]
    assert found == [0o700, 0o755, 0o755]


def test_settings_of_a_config_map_and_a_current_program_may_be_read_only(
    program: Program, volumes: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(permissions.VOLUMES, "1")
    program.configure("a.example", more=f"trust_file = '{program.folder}/trust/trust.toml'")
    data = program.config.parent / "..2026_11_29"
    data.mkdir()
    program.config.rename(data / "issuer.toml")
    (program.config.parent / "..data").symlink_to(data.name)
    program.config.symlink_to("..data/issuer.toml")
    remount(program.config.parent, "ro")
    with as_unprivileged_user():
        prepare(program)
    remount(volumes[3], "ro")
    with as_unprivileged_user():
        assert prepare(program, *CERTIFICATE).out == "Nothing to do: everything is in place.\n"
        refused = program.run("prepare", "--certificate", "b.example,c.example")
    assert refused.exit_code == 2
    assert refused.err == (
        f"wellkeeper: cannot add a certificate for b.example, c.example\n  {program.config.parent} is read-only\n"
        "  Add it to issuer.toml there, or leave out --certificate (or WELLKEEPER_CERTIFICATE).\n"
    )


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("issuer", "--state-dir (or WELLKEEPER_STATE_DIR)"),
        ("certificates", "--certificates-dir (or WELLKEEPER_CERTIFICATES_DIR)"),
        ("program", "--program (or WELLKEEPER_PROGRAM)"),
        ("trust", "--trust (or WELLKEEPER_TRUST)"),
        ("agent", "--nginx-agent (or WELLKEEPER_NGINX_AGENT)"),
        ("etc", "--config"),
    ],
)
@pytest.mark.usefixtures("volumes")
def test_read_only_volume_is_named_with_its_option(
    program: Program, name: str, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(permissions.VOLUMES, "1")
    remount(program.folder / name, "ro,mode=0755")
    finished = program.run("prepare", AGREE, *CERTIFICATE, "--nginx-agent", f"{program.folder}/agent")
    assert finished.exit_code == 2
    first, why, remedy = finished.err.splitlines()
    assert f" {program.folder}/{name}" in first
    assert why == "  Read-only file system"
    assert remedy == f"  Mount it read-write for this command, or choose another place with {option}."


@pytest.mark.usefixtures("volumes")
def test_full_volume_is_reported_and_filled_later(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(permissions.VOLUMES, "1")
    ballast = program.folder / "program/ballast"
    ballast.write_bytes(bytes(1 << 20))
    finished = program.run("prepare", AGREE, *CERTIFICATE)
    assert finished.exit_code == 2
    assert "  No space left on device\n  Free some space there, then run the command again.\n" in finished.err
    ballast.unlink()
    prepare(program, AGREE, *CERTIFICATE)


@pytest.mark.parametrize("user", [4_000_000_001, 0])
def test_state_of_another_user_is_one_error(program: Program, monkeypatch: pytest.MonkeyPatch, user: int) -> None:
    program.folder.chmod(0o1777)
    with as_unprivileged_user():
        monkeypatch.setenv(permissions.VOLUMES, "1")
        program.config.parent.mkdir()
        prepare(program, AGREE, *CERTIFICATE)
    for folder in (program.config.parent, program.state_dir):
        with as_user(user, user):
            refused = program.run("prepare", AGREE, *CERTIFICATE)
        assert refused.exit_code == 2
        assert refused.err == (
            f"wellkeeper: cannot use {folder}\n"
            f"  it belongs to uid {UNPRIVILEGED_ID}, and this process runs as uid {user}\n"
            f"  Run it as uid {UNPRIVILEGED_ID} (Compose: 'user', pods: 'runAsUser'),"
            f" or run 'chown -R {user} {folder}' as root.\n"
        )
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 0, 0)


def test_certificates_of_a_run_as_root_are_one_error(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program.folder.chmod(0o1777)
    monkeypatch.setenv(permissions.VOLUMES, "1")
    prepare(program, AGREE, *CERTIFICATE)
    with as_unprivileged_user():
        refused = program.run("prepare", AGREE, *CERTIFICATE)
    assert refused.exit_code == 2
    assert refused.err.endswith(f"\n  Run 'chown -R {UNPRIVILEGED_ID} {program.certificates_dir}' as root.\n")


def test_directory_that_the_user_may_not_write_to_is_one_error(program: Program) -> None:
    program.folder.chmod(0o755)
    with as_unprivileged_user():
        refused = program.run("prepare", AGREE, *CERTIFICATE)
    assert refused.exit_code == 2
    assert refused.err == (
        f"wellkeeper: cannot write {program.state_dir}\n  Permission denied\n"
        f"  Give it to uid {UNPRIVILEGED_ID}, run the command as its owner,"
        " or choose another place with --state-dir (or WELLKEEPER_STATE_DIR).\n"
    )


def test_file_where_a_directory_belongs_is_named(program: Program) -> None:
    (program.folder / "program").touch()
    refused = program.run("prepare", AGREE, *CERTIFICATE)
    assert refused.exit_code == 2
    assert f"cannot write {program.folder}/program" in refused.err
    assert "Correct that, or choose another place with --program (or WELLKEEPER_PROGRAM)." in refused.err


def test_two_at_once_make_one_set_of_keys(program: Program) -> None:
    command = (sys.executable, "-m", "wellkeeper_issuer", "prepare", AGREE, *CERTIFICATE, "--json")
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: subprocess.run(command, capture_output=True, check=False, text=True), range(2)))
    assert [(one.returncode, one.stderr) for one in done] == [(0, ""), (0, "")]
    assert sorted('"is_changed": true' in one.stdout for one in done) == [False, True]
    assert [one.name for one in read_settings(program.config).certificates] == ["a.example"]


def test_waiting_for_another_prepare_ends_at_sigterm(program: Program) -> None:
    program.state_dir.mkdir(mode=0o700)
    with durable.locked(program.state_dir / ".prepare", "prepare"):
        command = (sys.executable, "-m", "wellkeeper_issuer", "prepare", AGREE, *CERTIFICATE)
        started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            await_open(started.pid, ".prepare")
            started.send_signal(signal.SIGTERM)
            _, err = started.communicate()
        finally:
            started.kill()
    assert (started.returncode, err.strip()) == (143, "wellkeeper: interrupted")
    assert list(program.config.parent.parent.glob("etc/*")) == []


def await_open(pid: int, name: str) -> None:
    """Wait until the process has opened the file."""
    is_open = False
    while not is_open:
        os.sched_yield()
        with suppress(FileNotFoundError):  # one that is closed meanwhile
            is_open = any(one.readlink().name == name for one in Path(f"/proc/{pid}/fd").iterdir())


@pytest.mark.usefixtures("volumes")
def test_init_takes_settings_that_are_read_only(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(permissions.VOLUMES, "1")
    program.configure("a.example")
    remount(program.config.parent, "ro")
    finished = program.run("init")
    assert (finished.exit_code, finished.err) == (0, "")
    trust = program.config.with_name("trust.toml")
    assert (
        f"note   cannot write {trust}: Read-only file system:"
        " name another file with trust_file, as 'wellkeeper prepare' does\n"
    ) in finished.out
    assert (program.state_dir / "publishing_key.pem").exists()
    assert not program.run("init", "--json").json()["trust_file"]["is_written"]


@pytest.mark.usefixtures("volumes")
def test_init_reports_any_other_reason_for_which_the_trust_file_cannot_be_written(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(permissions.VOLUMES, "1")
    program.configure("a.example", more=f"trust_file = '{program.folder}/trust/trust.toml'")
    (program.folder / "trust/ballast").write_bytes(bytes(1 << 20))
    finished = program.run("init")
    assert finished.exit_code == 2
    assert f"cannot write {program.folder}/trust/trust.toml\n  No space left on device\n" in finished.err
