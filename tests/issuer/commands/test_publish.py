"""publish: usage; tests/integration/test_relayed_nodes.py has the rest."""

import pytest

from tests.issuer.commands.conftest import Program
from tests.responder.messages import THUMBPRINT, TOKEN

_AUTHORIZATION = f"{TOKEN}.{THUMBPRINT}"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("a.example",),
        ("a.example", "short"),
        ("localhost", _AUTHORIZATION),
        ("--withdraw", "../../etc/passwd"),
        ("--withdraw", TOKEN, "a.example"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(program: Program, arguments: tuple[str, ...]) -> None:
    program.configure("a.example")
    program.make_keys()
    finished = program.run("publish", *arguments)
    assert (finished.exit_code, finished.out) == (2, "")


def test_withdrawing_what_is_not_published_succeeds(program: Program) -> None:
    program.configure("a.example")
    assert program.run("publish", "--withdraw", _AUTHORIZATION).exit_code == 0


def test_token_that_looks_like_an_option_is_taken(program: Program) -> None:
    program.configure("a.example")
    assert program.run("publish", "--withdraw", f"-h{TOKEN[2:]}").exit_code == 0
    program.make_keys()
    finished = program.run("publish", "a.example", f"-h{_AUTHORIZATION[2:]}")
    assert finished.exit_code == 1
    assert "control.sock" in finished.err


def test_responder_that_is_down_is_an_error_unless_it_is_left_out(program: Program) -> None:
    nodes = [f"[[nodes]]\nname = 'web{one}'\nresponder = 'unix:/nonexistent/{one}.sock'\n" for one in (1, 2)]
    program.configure("a.example", more="\n".join(nodes))
    program.make_keys()
    finished = program.run("publish", "a.example", _AUTHORIZATION, "--without", "web1")
    assert finished.exit_code == 1
    assert "/nonexistent/2.sock" in finished.err
    assert "/nonexistent/1.sock" not in finished.err


_RELAY = "local_node = false\n[fleet]\nlisten = ['127.0.0.1:1']"


@pytest.mark.parametrize(
    ("more", "without"),
    [(_RELAY, ()), ("", ("--without", "local"))],
    ids=["none has joined", "the only one is left out"],
)
def test_no_node_that_serves_the_token_is_an_error(program: Program, more: str, without: tuple[str, ...]) -> None:
    program.configure("a.example", more=more)
    program.make_keys()
    finished = program.run("publish", "a.example", _AUTHORIZATION, *without)
    assert (finished.exit_code, finished.out) == (1, "")
    assert "no node is left that answers challenges" in finished.err
    assert not (program.state_dir / ".published").exists()


def test_unknown_node_cannot_be_left_out(program: Program) -> None:
    program.configure("a.example")
    program.make_keys()
    finished = program.run("publish", "a.example", _AUTHORIZATION, "--without", "web9")
    assert finished.exit_code == 2
    assert "cannot leave out node 'web9'\n  the nodes are: local\n" in finished.err
