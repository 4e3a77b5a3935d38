"""trust: the trust file, shown or written, and nginx lines."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.issuer.commands.conftest import UNREACHABLE_CA, Program
from tests.json_docs import assert_documented
from wellkeeper_client import trust_file
from wellkeeper_client.signing import encode_public_key
from wellkeeper_client.trust_file import Trust, to_toml
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.keys.key_files import account_thumbprint

OTHER = "A" * 43


def path_of(program: Program) -> Path:
    return program.config.with_name("trust.toml")


def values_of(keys: AccountFolder) -> Trust:
    thumbprints = tuple(account_thumbprint(key) for _, key in keys.account_keys())
    return Trust(thumbprints, tuple(encode_public_key(key) for key in keys.publishing.trusted))


def test_trust_shows_what_it_would_write_and_writes_nothing(program: Program) -> None:
    program.configure("a.example", "b.example")
    wanted = values_of(program.make_keys())
    finished = program.run("trust")
    assert finished.exit_code == 0
    assert finished.out.startswith(
        f"{path_of(program)} does not exist.\n"
        f"  + account_thumbprints: {wanted.account_thumbprints[0]}\n"
        f"  + publishing_keys: {wanted.publishing_keys[0]}\n"
        "Run 'wellkeeper trust --write' to write this file:\n\n"
    )
    for line in (
        f'    "{wanted.account_thumbprints[0]}",  # {UNREACHABLE_CA}',
        f'    "{wanted.publishing_keys[0]}",',
        "  include snippets/wellkeeper/upstream.conf;",
        "  include snippets/wellkeeper/challenge.conf;",
        f"  ssl_certificate     {program.certificates_dir}/live/a.example/fullchain.pem;",
        f"  ssl_certificate_key {program.certificates_dir}/live/b.example/privkey.pem;",
    ):
        assert line in finished.out.splitlines()
    assert "PRIVATE" not in finished.out
    assert not path_of(program).exists()


@pytest.mark.parametrize("arguments", [(), ("--write",)], ids=["shown", "written"])
def test_json_has_the_public_values_and_live_paths(program: Program, arguments: tuple[str, ...]) -> None:
    program.configure("a.example")
    wanted = values_of(program.make_keys())
    found = program.run("trust", "--json", *arguments).json()
    assert_documented("trust", found)
    values = {
        "account_thumbprints": list(wanted.account_thumbprints),
        "publishing_keys": list(wanted.publishing_keys),
        "fleet_keys": [],
        "publishers": [],
    }
    assert found["trust"] == values
    assert found["live"] == {"a.example": f"{program.certificates_dir}/live/a.example"}
    assert found["trust_file"] == {
        "path": str(path_of(program)),
        "is_current": False,
        "is_written": bool(arguments),
        "fault": None,
        "added": values,
        "removed": {"account_thumbprints": [], "publishing_keys": [], "fleet_keys": [], "publishers": []},
    }
    assert found["responders"].keys() == ({"local"} if arguments else set())


def test_write_replaces_a_file_that_differs_and_shows_how(program: Program) -> None:
    program.configure("a.example")
    wanted = values_of(program.make_keys())
    path_of(program).write_text(to_toml(Trust((OTHER, *wanted.account_thumbprints), (OTHER,))))
    before = path_of(program).stat().st_ino
    assert program.run("trust").out.startswith(f"{path_of(program)} differs.\n  + publishing_keys: ")
    finished = program.run("trust", "--write")
    assert finished.out.startswith(
        f"wrote  {path_of(program)}\n"
        f"  + publishing_keys: {wanted.publishing_keys[0]}\n"
        f"  - account_thumbprints: {OTHER}\n"
        f"  - publishing_keys: {OTHER}\n"
    )
    assert trust_file.read(path_of(program)) == wanted
    assert path_of(program).stat().st_ino != before
    assert path_of(program).stat().st_mode & 0o7777 == 0o644


def test_fleet_keys_are_written_once_there_is_a_fleet(program: Program) -> None:
    program.configure("a.example")
    keys = program.make_keys()
    program.run("trust", "--write")
    fleet = FleetKeys(keys.key_path(UNREACHABLE_CA).parents[1])
    fleet.make()
    current, following = (encode_public_key(key) for key in fleet.trusted)
    finished = program.run("trust", "--write")
    assert finished.out.startswith(
        f"wrote  {path_of(program)}\n  + fleet_keys: {current}\n  + fleet_keys: {following}\n"
    )
    assert trust_file.read(path_of(program)) == replace(values_of(keys), fleet_keys=(current, following))
    assert f'"{following}",  # the next key' in path_of(program).read_text()


def test_write_keeps_a_file_with_the_same_values(program: Program) -> None:
    program.configure("a.example")
    wanted = values_of(program.make_keys())
    path_of(program).write_text(to_toml(wanted) + "# mine\n")
    assert program.run("trust", "--write").out.startswith(f"kept   {path_of(program)}, which is up to date\n")
    assert path_of(program).read_text().endswith("# mine\n")
    assert program.run("trust").out.startswith(f"{path_of(program)} is up to date:\n\n  # What ")


@pytest.mark.parametrize(("content", "mode"), [("version = 1\n", 0o644), (to_toml(Trust((OTHER,), (OTHER,))), 0o666)])
def test_invalid_file_is_reported_and_replaced(program: Program, content: str, mode: int) -> None:
    program.configure("a.example")
    wanted = values_of(program.make_keys())
    path_of(program).write_text(content)
    path_of(program).chmod(mode)
    assert program.run("trust").out.startswith(f"{path_of(program)} is invalid (")
    assert program.run("trust", "--write").out.startswith(f"wrote  {path_of(program)}\n")
    assert trust_file.read(path_of(program)) == wanted


def test_directory_that_others_may_change_is_reported_after_writing(program: Program) -> None:
    program.configure("a.example")
    program.make_keys()
    shared = program.folder / "shared"
    shared.mkdir()
    config = shared / "issuer.toml"
    config.write_text(program.config.read_text())
    program.run("trust", "--write", "--config", str(config))
    shared.chmod(0o777)
    finished = program.run("trust", "--write", "--config", str(config))
    shared.chmod(0o755)
    assert finished.exit_code == 2
    assert f"every user may write to {shared}" in finished.err
    assert f"Run 'chmod go-w {shared}'." in finished.err


def test_responder_that_does_not_run_is_a_note(program: Program) -> None:
    program.configure("a.example", more=f"[[nodes]]\nname = 'edge'\nresponder = 'unix:{program.folder}/none.sock'")
    program.make_keys()
    finished = program.run("trust", "--write")
    assert finished.exit_code == 0
    words = f"note   cannot reach the responder of node 'edge' (unix:{program.folder}/none.sock): "
    assert finished.out.splitlines()[-1].startswith(words)


def test_directory_in_place_of_the_file_is_reported(program: Program) -> None:
    program.configure("a.example")
    program.make_keys()
    path_of(program).mkdir()
    finished = program.run("trust", "--write")
    assert (finished.exit_code, finished.out) == (2, "")
    assert finished.err.startswith(f"wellkeeper: cannot write {path_of(program)}\n")


def test_missing_keys_are_reported(program: Program) -> None:
    program.configure("a.example")
    finished = program.run("trust")
    assert (finished.exit_code, finished.out) == (2, "")
    assert finished.err == (
        f"wellkeeper: cannot read key {program.state_dir}/publishing_key.pem\n"
        "  the file does not exist\n  Run 'wellkeeper init' to create it.\n"
    )


def test_missing_settings_are_reported(program: Program) -> None:
    finished = program.run("trust")
    assert finished.exit_code == 2
    assert f"{program.config} does not exist\n  Run 'wellkeeper init'" in finished.err
