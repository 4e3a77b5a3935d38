"""Regular expressions of PCRE, as nginx's configurations have them."""

import pytest

from wellkeeper_node.nginx.patterns import compiled


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^/(?<token>[a-z]+)\z", "/abc"),
        (r"^/[[:alnum:]_]+$", "/aB3_"),
        (r"(^|/)\.(?!well-known)", "/.git"),
        (r"a\\z", r"a\zb"),
    ],
)
def test_pattern_of_pcre_matches_as_in_nginx(pattern: str, text: str) -> None:
    found = compiled(pattern)
    assert found is not None
    assert found.search(text)


def test_case_is_ignored_on_request() -> None:
    assert [bool(one.search("ABC")) for one in (compiled("abc"), compiled("abc", ignores_case=True)) if one] == [
        False,
        True,
    ]


def test_unknown_pattern_is_none() -> None:
    assert compiled(r"a\Kb") is None


def test_set_that_python_may_read_differently_one_day_is_compiled() -> None:
    """Python warns about it, and warnings fail tests."""
    assert compiled("[[a]") is not None
