"""Edits around statements that share a line, and in empty blocks."""

from wellkeeper_node.nginx.changes.edits import Edit, Source
from wellkeeper_node.nginx.changes.statements import scan


def edited(text: str, edit: Edit) -> str:
    return text[: edit.start] + edit.new + text[edit.end :]


def test_lines_before_a_statement_within_a_line_stay_in_that_line() -> None:
    text = "a; b;\n"
    _, second = scan(text)
    assert edited(text, Source(text).lines_before(second, ["x;", "y;"])) == "a; x; y; b;\n"


def test_lines_inside_an_empty_block_stay_in_its_line() -> None:
    text = "server { }\n"
    (block,) = scan(text)
    assert edited(text, Source(text).lines_inside(block, ["x;"])) == "server { x;  }\n"


def test_statement_within_a_line_is_removed_alone() -> None:
    text = "a; b; c;\n"
    _, second, _ = scan(text)
    assert edited(text, Source(text).removed(second)) == "a;  c;\n"
