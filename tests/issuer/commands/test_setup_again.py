"""setup without a terminal: the line that it prints, and what a second run does."""

import subprocess

import pytest

from tests.issuer.commands.conftest import Program
from tests.issuer.commands.test_setup import Nginx, nginx, setup
from tests.json_docs import assert_documented
from wellkeeper_client import trust_file
from wellkeeper_client.trust_file import Trust, to_toml

__all__ = ["nginx"]

NAMES = ("--certificate", "a.example")
OTHER = "A" * 43


def apply(command: str) -> subprocess.CompletedProcess[str]:
    """Run the printed line without a person who answers questions, in another directory."""
    return subprocess.run(["/bin/sh", "-c", command], cwd="/", check=False, capture_output=True, text=True, timeout=60)


@pytest.fixture
def command(program: Program) -> str:
    """Return the line of a setup with an existing site and a new file."""
    done = setup(program, *NAMES, "--certificate", "c.example", "--json").json()
    line: str = done["patch"]["command"]
    return line


def test_line_works_in_any_directory(program: Program, nginx: Nginx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(program.folder)
    done = setup(program, *NAMES, "--config", "etc/issuer.toml", "--json").json()
    assert done["patch"]["path"] == str(program.config.with_name("nginx.patch"))
    applied = apply(done["patch"]["command"])
    assert applied.returncode == 0, applied
    assert "challenge.conf" in nginx.site.read_text()


def test_line_changes_nothing_when_a_part_of_the_patch_fails(nginx: Nginx, command: str) -> None:
    nginx.site.write_text(nginx.site.read_text().replace("a.example", "x.example"))
    before = nginx.site.read_text()
    assert apply(command).returncode == 1
    assert nginx.site.read_text() == before
    assert not (nginx.folder / "conf.d/c.example.conf").exists()


def test_line_changes_nothing_the_second_time_and_can_be_undone(nginx: Nginx, command: str) -> None:
    before = nginx.site.read_text()
    assert apply(command).returncode == 0
    after = nginx.site.read_text()
    assert apply(command).returncode == 1
    assert nginx.site.read_text() == after
    patch = command.split(" && ")[1]
    assert apply(f"{patch} -R").returncode == 0
    assert nginx.site.read_text() == before
    assert sorted(path.name for path in nginx.site.parent.iterdir()) == ["site"]


def test_same_command_succeeds_again_and_notes_the_options_that_the_settings_file_overrides(program: Program) -> None:
    setup(program, *NAMES)
    again = setup(program, "--certificate", "A.EXAMPLE.", "--contact", "a@example.org")
    assert again.exit_code == 0
    unused = "--contact, --agree-to-terms-of-service, --state-dir, --certificates-dir ignored"
    assert f"kept   {program.config}; {unused}: edit the file" in again.out
    assert not [line for line in again.out.splitlines() if line.startswith(("wrote ", "made "))]
    found = setup(program, *NAMES, "--json").json()
    assert_documented("setup", found)
    assert found["settings"]["unused_options"] == ["--agree-to-terms-of-service", "--state-dir", "--certificates-dir"]
    assert found["drop_ins"] == []


def test_certificate_that_is_named_twice_is_added_once(program: Program) -> None:
    done = setup(program, *NAMES, "--certificate", "A.example", "--certificate", "a.example.", "--json").json()
    assert done["drop_ins"] == [f"{program.config.parent}/issuer.d/a.example.toml"]


def test_keys_that_a_user_trusts_stay_and_the_difference_is_noted(program: Program) -> None:
    setup(program, *NAMES)
    path = program.config.with_name("trust.toml")
    own = trust_file.read(path)
    path.write_text(to_toml(Trust(own.account_thumbprints, (*own.publishing_keys, OTHER))))
    again = program.run("setup")
    assert trust_file.read(path).publishing_keys == (*own.publishing_keys, OTHER)
    assert f"note   {path} differs: run 'wellkeeper trust --write'" in again.out
    found = program.run("setup", "--json").json()["trust_file"]
    assert not found["is_current"]
    assert not found["is_written"]


def test_certificate_of_setup_can_be_removed(program: Program) -> None:
    setup(program, *NAMES)
    removed = program.run("certificate", "remove", "a.example", "--yes")
    assert removed.exit_code == 0, removed.err
    assert not (program.config.parent / "issuer.d/a.example.toml").exists()
