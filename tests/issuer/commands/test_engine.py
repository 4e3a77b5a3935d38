"""engine acl, check, use: what they print and write, without an engine that answers."""

import tomllib
from pathlib import Path
from typing import Final

import pytest

from stand.ports import free_port
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.standbys import StandbyHost
from tests.json_docs import assert_documented
from wellkeeper_issuer.commands.engine_use import spread
from wellkeeper_issuer.outside.daemon.server import Tell, daemon_socket
from wellkeeper_issuer.outside.daemon.socket import Message, socket_path
from wellkeeper_issuer.settings import read_settings

FLEET: Final = "[fleet]\nlisten = ['10.0.0.1:8404']"


@pytest.fixture
def ready(program: Program) -> Program:
    program.configure("www.example.org")
    program.make_keys()
    drop_in(program).parent.mkdir()
    drop_in(program).write_text(FLEET)
    return program


def drop_in(program: Program) -> Path:
    return program.config.parent / "issuer.d/fleet.toml"


def test_users_are_printed_with_digests_of_passwords_that_stay_the_same(ready: Program) -> None:
    first, second = ready.run("engine", "acl"), ready.run("engine", "acl", "--json").json()
    assert_documented("engine acl", second)
    passwords = [Path(one["password_file"]).read_text().strip() for one in second["users"]]
    assert [len(one) for one in passwords] == [43, 43]
    for user, password in zip(second["users"], passwords, strict=True):
        assert user["line"] in first.out.splitlines()
        assert password not in first.out
        assert f"wrote  {user['password_file']}" in first.out
        assert Path(user["password_file"]).stat().st_mode & 0o777 == 0o600
    assert second["written"] == []
    assert "maxmemory-policy noeviction" in second["configuration"]
    assert "sudo wellkeeper engine use rediss://wellkeeper-issuer@HOST:6379" in first.out


def test_names_and_prefix_of_the_settings_are_used(ready: Program) -> None:
    ready.run("engine", "acl")
    more = "[fleet.engine]\naddress = 'redis://me@10.0.0.9?prefix=mine'\nnode_user = 'them'"
    drop_in(ready).write_text(f"{FLEET}\n{more}")
    issuer, nodes = (one["line"] for one in ready.run("engine", "acl", "--json").json()["users"])
    assert issuer.startswith("user me on #")
    assert "~mine:* &mine:*" in issuer
    assert nodes.startswith("user them on #")
    assert "%R~mine:* ~mine:report/*" in nodes


def test_names_and_prefix_of_an_engine_that_is_not_in_the_settings_yet_can_be_given(ready: Program) -> None:
    arguments = ["rediss://me@10.0.0.9?prefix=mine", "--node-user", "them"]
    issuer, nodes = (one["line"] for one in ready.run("engine", "acl", *arguments, "--json").json()["users"])
    assert issuer.startswith("user me on #")
    assert "~mine:* &mine:*" in issuer
    assert nodes.startswith("user them on #")
    assert "%R~mine:* ~mine:report/*" in nodes


def test_engine_that_does_not_answer_fails_and_nothing_is_written(ready: Program) -> None:
    ready.run("engine", "acl")
    url = f"redis://127.0.0.1:{free_port()}"
    checked = ready.run("engine", "check", url)
    assert checked.exit_code == 1
    assert "fail     issuer: cannot use the engine at redis://127.0.0.1" in checked.out
    assert "Check that a Valkey or Redis server runs at this address" in checked.out
    encrypted = ready.run("engine", "check", url.replace("redis", "rediss"))
    assert "skipped  unknown, because neither issuer nor nodes could connect (tls)" in encrypted.out
    used = ready.run("engine", "use", url, "--json")
    assert used.exit_code == 1
    assert_documented("engine use", used.json())
    assert (used.json()["engine"], used.json()["verdict"]) == (None, "fail")
    assert drop_in(ready).read_text() == FLEET
    assert "fail     issuer: cannot use" in ready.run("engine", "use", url).out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check"], "there is no engine to check"),
        (["check", "http://x"], "is not the address of an engine"),
        (["check", "unix:/run/valkey.sock"], "nodes cannot reach a unix socket of this host"),
        (["check", "redis://127.0.0.1"], "the password of the engine is missing"),
        (["use"], "give either URL or --none"),
        (["use", "redis://127.0.0.1", "--none"], "give either URL or --none"),
        (["use", "rediss://127.0.0.1?ca=/nonexistent", "--user", "a b"], "cannot read the CA file of the engine"),
    ],
)
def test_mistakes_are_named(ready: Program, arguments: list[str], words: str) -> None:
    finished = ready.run("engine", *arguments)
    assert finished.exit_code == 2
    assert words in " ".join(finished.err.split())


@pytest.mark.parametrize("fleet", ["", "[fleet]\nlisten = []\n"])
def test_engine_needs_a_relay_for_nodes_to_join(ready: Program, fleet: str) -> None:
    drop_in(ready).write_text(fleet)
    finished = ready.run("engine", "use", "redis://127.0.0.1")
    assert finished.exit_code == 2
    assert "cannot use an engine\n  no relay is configured for nodes to dial\n" in finished.err
    assert "wellkeeper fleet listen ADDRESS" in finished.err


def test_fleet_in_another_file_is_left_alone(ready: Program) -> None:
    drop_in(ready).unlink()
    ready.configure("www.example.org", more=FLEET)
    finished = ready.run("engine", "use", "--none")
    assert finished.exit_code == 2
    assert "this command changes only its own file" in finished.err


def test_engine_of_settings_that_cannot_be_read_is_not_used_any_more(ready: Program) -> None:
    drop_in(ready).write_text(f"{FLEET}\n[fleet.engine]\naddress = 'http://10.0.0.9'\n")
    finished = ready.run("engine", "use", "--none")
    assert finished.exit_code == 0, finished
    assert "note   the former engine may still have records of this fleet: " in finished.out
    assert "Nodes follow only the relay again." in finished.out


def test_engine_is_not_used_any_more_and_listen_keeps_one(ready: Program) -> None:
    ready.run("engine", "acl")
    drop_in(ready).write_text(f"{FLEET}\n[fleet.engine]\naddress = 'redis://127.0.0.1:{free_port()}'\n")
    assert ready.run("fleet", "listen", "10.0.0.2:8404").exit_code == 0
    assert read_settings(ready.config).fleet.engine.address
    finished = ready.run("engine", "use", "--none")
    assert finished.exit_code == 0, finished
    assert "Nodes follow only the relay again." in finished.out
    assert "note   the former engine may still have records of this fleet: cannot use the engine" in finished.out
    assert "delete the keys there that begin with its prefix" in finished.out
    assert "takes up to a minute" in finished.err
    assert tomllib.loads(drop_in(ready).read_text()) == {"fleet": {"listen": ["10.0.0.2:8404"]}}
    again = ready.run("engine", "use", "--none")
    assert again.out == "kept   the settings, which are up to date\nNodes follow only the relay again.\n"
    reported = ready.run("engine", "use", "--none", "--json").json()
    assert_documented("engine use", reported)
    assert (reported["engine"], reported["deleted"], reported["not_deleted"]) == (None, None, None)
    events = ready.run("history", "--json").json()["events"]
    found = [one["details"] for one in events if one["subject"] == str(drop_in(ready))]
    assert found == [{"listen": "10.0.0.2:8404"}, {"engine": "none"}]


@pytest.mark.parametrize(("has_changed", "asked"), [(True, ["reload"]), (False, ["reload", "take keys"])])
async def test_daemon_reads_passwords_again_although_the_settings_are_the_same(
    ready: Program, has_changed: bool, asked: list[str]
) -> None:
    commands: list[str] = []

    async def answer(request: Message, _tell: Tell) -> Message:
        commands.append(request["command"])
        return {}

    settings = read_settings(ready.config)
    handlers = dict.fromkeys(("reload", "take keys"), answer)
    async with daemon_socket(socket_path(settings.state_dir), handlers):
        assert not await spread(settings, has_changed=has_changed)
    assert commands == asked


def test_ca_file_that_is_too_long_for_the_nodes_is_refused(ready: Program, tmp_path: Path) -> None:
    ready.run("engine", "acl")
    file = tmp_path / "ca.pem"
    file.write_text("# comment\n" * 2000)
    finished = ready.run("engine", "use", f"rediss://127.0.0.1:{free_port()}?ca={file}")
    assert finished.exit_code == 2
    assert "it has 20000 bytes, but at most 16384 are allowed" in " ".join(finished.err.split())
    assert drop_in(ready).read_text() == FLEET


@pytest.mark.parametrize("text", ["", "not PEM\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_ca_file_without_a_certificate_is_refused(ready: Program, tmp_path: Path, text: str) -> None:
    ready.run("engine", "acl")
    file = tmp_path / "ca.pem"
    file.write_text(text)
    finished = ready.run("engine", "use", f"rediss://127.0.0.1:{free_port()}?ca={file}")
    assert finished.exit_code == 2
    assert f"cannot use the CA file of the engine {file} it has no certificate: " in " ".join(finished.err.split())


@pytest.mark.parametrize("text", ["", "short", "two words and more", "first-line\nsecond-line\n", "\udcff" * 20])
def test_password_of_another_form_is_refused(ready: Program, tmp_path: Path, text: str) -> None:
    path = tmp_path / "password"
    path.touch(0o600)
    path.write_text(text, errors="surrogateescape")
    finished = ready.run("engine", "use", "redis://127.0.0.1", "--password-file", str(path))
    assert "it must have one line of 8 to 256 ASCII characters" in " ".join(finished.err.split())


def test_password_that_cannot_be_read_is_named(ready: Program, tmp_path: Path) -> None:
    finished = ready.run("engine", "use", "redis://127.0.0.1", "--node-password-file", str(tmp_path / "none"))
    assert finished.exit_code == 2
    path = tmp_path / "password"
    path.mkdir(0o700)
    finished = ready.run("engine", "use", "redis://127.0.0.1", "--password-file", str(path))
    assert (finished.exit_code, f"cannot read {path}" in " ".join(finished.err.split())) in {(2, True), (2, False)}


def test_engine_can_be_checked_on_a_standby(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StandbyHost(program, tmp_path, monkeypatch).restore()
    finished = program.run("engine", "check")
    assert finished.exit_code == 2
    assert "there is no engine to check" in finished.err
