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


def test_responder_that_is_down_is_an_error(program: Program) -> None:
    program.configure("a.example", more="[[nodes]]\nname = 'local'\nresponder = 'unix:/nonexistent/control.sock'")
    program.make_keys()
    finished = program.run("publish", "a.example", _AUTHORIZATION)
    assert finished.exit_code == 1
    assert "/nonexistent/control.sock" in finished.err
