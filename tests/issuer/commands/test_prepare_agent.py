"""prepare and the directories of nginx's agent: their modes, and who owns them."""

from pathlib import Path

import pytest

from tests.issuer.commands.conftest import Program
from tests.issuer.commands.test_prepare import AGREE, CERTIFICATE, modes, places, prepare
from tests.issuer.commands.test_prepare_volumes import LOADED, volumes
from tests.unprivileged import UNPRIVILEGED_ID, as_unprivileged_user
from wellkeeper_client import permissions
from wellkeeper_issuer.settings import read_settings

FIXTURES = (LOADED, places, volumes)


def folder_of(program: Program) -> Path:
    return program.folder / "agent"


def test_directories_are_made_with_their_modes(program: Program) -> None:
    agent = folder_of(program)
    out = prepare(program, AGREE, *CERTIFICATE, "--nginx-agent", str(agent)).out
    assert read_settings(program.config).nginx.agent == agent
    assert modes(program, "agent", "agent/questions", "agent/answers") == [0o755, 0o755, 0o700]
    assert f"made   {agent}/questions\nmade   {agent}/answers\n" in out
    (agent / "answers").rmdir()
    assert prepare(program, "--json").json()["agent_directories"] == [f"{agent}/answers"]
    assert prepare(program).out == "Nothing to do: everything is in place.\n"


@pytest.mark.root
@pytest.mark.usefixtures("volumes")
def test_volume_that_every_user_may_write_to_gets_private_answers(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(permissions.VOLUMES, "1")
    folders = [folder_of(program) / name for name in ("questions", "answers")]
    with as_unprivileged_user():
        prepare(program, AGREE, *CERTIFICATE, "--nginx-agent", str(folder_of(program)))
        assert modes(program, "agent/questions", "agent/answers") == [0o755, 0o700]
        for folder in folders:
            folder.chmod(0o2770)  # as Kubernetes does at each start
        assert prepare(program, "--json").json()["modes_corrected"] == list(map(str, folders))
    assert [mode & 0o777 for mode in modes(program, "agent/questions", "agent/answers")] == [0o750, 0o700]
    assert {one.stat().st_uid for one in folders} == {UNPRIVILEGED_ID}


@pytest.mark.root
@pytest.mark.usefixtures("volumes")
@pytest.mark.parametrize("name", ["questions", "answers"])
def test_directory_of_another_user_is_refused(program: Program, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The agent would refuse it later."""
    monkeypatch.setenv(permissions.VOLUMES, "1")
    agent = folder_of(program)
    (agent / name).mkdir()
    with as_unprivileged_user():
        refused = program.run("prepare", AGREE, *CERTIFICATE, "--nginx-agent", str(agent))
    assert refused.exit_code == 2
    assert refused.err == (
        f"wellkeeper: cannot use {agent}/{name}\n"
        f"  it belongs to uid 0, and nginx's agent must run as the same user as this process, uid {UNPRIVILEGED_ID}\n"
        f"  Mount one volume at {agent} instead of two below it,"
        f" or run 'chown {UNPRIVILEGED_ID} {agent}/{name}' as root.\n"
    )
