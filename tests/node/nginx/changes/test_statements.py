"""The positions of statements."""

import pytest

from wellkeeper_node.nginx.changes.statements import scan

TEXT = "a 1 \"x y\" ${b}c;  # ; }\nblock 'q' {\n  inner \\;x; }\ncontent_by_lua_block { if { } }\n"


def test_statements_have_their_words_and_their_exact_text() -> None:
    first, block, lua = scan(TEXT)
    assert (first.name, first.arguments) == ("a", ("1", "x y", "${b}c"))
    assert TEXT[first.start : first.end] == 'a 1 "x y" ${b}c;'
    assert TEXT[block.start : block.end] == "block 'q' {\n  inner \\;x; }"
    assert block.block is not None
    assert [(one.name, one.arguments) for one in block.block] == [("inner", ("\\;x",))]
    assert TEXT[lua.start : lua.end] == "content_by_lua_block { if { } }"
    assert (lua.block, first.block) == ((), None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a;\nb {", "line 2: a closing brace is missing"),
        ("a;\n}", "line 2: unexpected '}'"),
        ("\n\na b", "line 3: a semicolon is missing"),
        ("a_by_lua_block { {", "line 1: a closing brace is missing"),
    ],
)
def test_text_that_nginx_refuses_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scan(text)
