"""Rotation of the publishing key without a gap in which a responder refuses the issuer."""

from tests.issuer.commands.conftest import Program


def public_keys(program: Program) -> list[str]:
    found: list[str] = program.run("trust", "--json").json()["trust"]["publishing_keys"]
    return found


def test_next_key_is_shown_with_the_present_one_and_replaces_it_by_a_rename(program: Program) -> None:
    program.configure("a.example")
    assert program.run("init").exit_code == 0
    (present,) = public_keys(program)
    assert program.run("init", "--next-publishing-key").exit_code == 0
    both = public_keys(program)
    assert both[0] == present
    assert len(set(both)) == 2
    path = program.state_dir / "publishing_key.next.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    path.rename(program.state_dir / "publishing_key.pem")
    assert public_keys(program) == both[1:]


def test_next_key_is_created_once(program: Program) -> None:
    program.configure("a.example")
    program.run("init", "--next-publishing-key")
    both = public_keys(program)
    program.run("init", "--next-publishing-key")
    assert public_keys(program) == both
