"""--json on every command; docs/json.md describes each object."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.statuses import FAILURE, LIMITED, NAME, NOW, install, schedule, write
from tests.issuer.commands.workers import REHEARSED_AT
from tests.joins import SEALING_KEY
from tests.json_docs import assert_documented, documented_commands
from tests.responder.messages import TOKEN
from wellkeeper_issuer.__main__ import cli
from wellkeeper_issuer.commands.terminal.errors import to_json
from wellkeeper_issuer.commands.terminal.interrupts import Terminated
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.ports.fleet import EnrolledNode
from wellkeeper_issuer.records import Rehearsal
from wellkeeper_node.agent.keys import NodePublic

WITHOUT_JSON = {"run"}
# Commands that need a CA or a daemon; tests/integration compares their results with the same tables.
ELSEWHERE = {
    "account register": 1,
    "account update": 1,
    "account rollover": 1,
    "account deactivate --yes": 1,
    "reload": 1,
    f"revoke {NAME}": 1,
    f"setup --certificate {NAME}": 1,
    "restore {folder}/none": 1,
    "publisher add x --account-key {folder}/none --identifier a.example": 2,
    "publisher remove x": 2,
    "promote": 2,
    "engine check redis://127.0.0.1:1": 2,
}
HERE = {
    "init": 0,
    "prepare --program {folder}/program --trust {folder}/trust/trust.toml": 0,
    "trust": 0,
    "config check": 0,
    "config show": 0,
    "config schema": 0,
    "placeholder": 0,
    "files {folder}/files": 0,
    "completion bash": 0,
    "import certbot {folder}/nothing": 2,
    "import acme.sh {folder}/nothing": 2,
    "import lego {folder}/nothing": 2,
    "import dehydrated {folder}/nothing": 2,
    "renew": 1,
    f"publish --withdraw {TOKEN}": 0,
    f"deliver {NAME} --chain {{folder}}/none --key {{folder}}/none": 2,
    "rehearse": 1,
    "doctor": 1,
    "status": 0,
    f"why {NAME}": 0,
    "history": 0,
    "notify test": 2,
    "list": 0,
    "certificate list": 0,
    "certificate add new.example": 1,
    "certificate add new.example --no-renew": 0,
    "certificate remove old.example --yes": 0,
    "publisher list": 0,
    "fleet listen 10.0.0.1:8404": 0,
    "node list": 0,
    "node invites": 0,
    f"node add web9 {NodePublic(bytes(32), SEALING_KEY.public_key().public_bytes_raw()).line}": 0,
    "node invite web9": 2,
    "node remove web2 --yes": 0,
    "account show": 1,
    "engine acl": 0,
    "engine use --none": 0,
    "key list": 0,
    "key prepare publishing": 0,
    "key switch publishing": 2,
    "key retire publishing": 0,
    "backup {folder}/backup.age --recipient age16mty568fcu65dmkluydsm6262l7eehalzfltrl69v3gq67xfzvtsh3hs6s": 0,
}


def command_of(line: str) -> str:
    """Return the words that name the command, without its arguments."""
    known = {*all_commands(), *all_groups()}
    words = line.split()
    return " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]


def walk(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{prefix}{name}", command
        if isinstance(command, click.Group):
            yield from walk(command, f"{prefix}{name} ")


def all_commands() -> set[str]:
    return {name for name, command in walk(cli) if not isinstance(command, click.Group)}


def all_groups() -> set[str]:
    return {name for name, command in walk(cli) if isinstance(command, click.Group)}


async def _fill(state: State) -> None:
    await state.schedules.record_schedule(schedule("v1"))
    await state.schedules.record_failure(FAILURE)
    await state.notes.record_rehearsal(Rehearsal(NAME, REHEARSED_AT, False, "it would fail"))
    await state.fleet.record_node(EnrolledNode("web2", "s", "x", ("*",), answers=True, enrolled_at=REHEARSED_AT))


@pytest.fixture
def filled(program: Program) -> Program:
    """Return a program with a certificate that has every record, and an added one."""
    program.configure(NAME, more=LIMITED + "[nginx]\ncommand = ['false']")
    program.make_keys()
    install(program, FakeCa(NOW).pair(dns(NAME)))
    write(program, _fill)
    drop_in = program.config.with_name("issuer.d") / "old.example.toml"
    drop_in.parent.mkdir()
    drop_in.write_text("[[certificates]]\nidentifiers = ['old.example']\n")
    return program


def test_every_command_is_in_the_tables() -> None:
    tested = {command_of(line) for line in (*HERE, *ELSEWHERE)}
    assert tested == all_commands() - WITHOUT_JSON
    assert documented_commands() == tested - {"certificate list"}


@pytest.mark.parametrize(("line", "status"), (HERE | ELSEWHERE).items(), ids=str)
def test_one_documented_object_is_printed(filled: Program, folder: Path, line: str, status: int) -> None:
    finished = filled.run(*line.format(folder=folder).split(), "--json")
    assert finished.exit_code == status, finished
    found, command = finished.json(), command_of(line).removeprefix("certificate list") or "list"
    assert_documented("error" if "error" in found else command, found)
    if "error" in found:
        assert finished.err == ""
    assert ("error" in found) == (line in ELSEWHERE or status == 2)


@pytest.mark.parametrize(
    ("arguments", "status", "stage", "words"),
    [
        (("renew", "--bogus", "--json"), 2, "usage", "No such option '--bogus'"),
        (("--json", "status"), 2, "usage", "No such option '--json'"),
        (("frobnicate", "--json"), 2, "usage", "No such command 'frobnicate'"),
        (("why", "--json"), 2, "usage", "Missing argument 'NAME'"),
        (("why", "x.example", "--json"), 2, "settings", "no certificate is named 'x.example'"),
        (("certificate", "remove", "old.example", "--json"), 2, "usage", "--yes"),
    ],
    ids=["option", "before the command", "command", "argument", "settings", "question"],
)
def test_failure_prints_one_object(
    filled: Program, arguments: tuple[str, ...], status: int, stage: str, words: str
) -> None:
    finished = filled.run(*arguments)
    assert (finished.exit_code, finished.err) == (status, ""), finished
    found = finished.json()
    assert_documented("error", found)
    assert found["error"]["stage"] == stage
    assert words in found["error"]["what"]


@pytest.mark.parametrize(
    ("error", "stage"),
    [(click.Abort(), "interrupted"), (Terminated(), "interrupted"), (KeyError("x"), None)],
    ids=["Ctrl-C", "SIGTERM", "unexpected"],
)
def test_interrupts_and_unexpected_errors_have_the_same_keys(error: BaseException, stage: str | None) -> None:
    found = to_json(error)
    assert_documented("error", {"schema_version": 1, "error": found})
    assert found["stage"] == stage


def test_argument_named_json_after_two_dashes_is_not_the_option(program: Program) -> None:
    program.configure(NAME)
    assert program.run("why", "--", "--json").err.startswith("wellkeeper: no certificate is named '--json'")
