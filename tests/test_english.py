"""Texts read as a native engineer would write them; the phrases and the better ones are in `tests/english.py`."""

import re

import pytest

from tests.english import OPENINGS, PHRASES, checked_files, complaints
from tests.layers import PROJECT

pytestmark = pytest.mark.any_python

BAD = (
    "the administrator is told",
    "it tells a dead socket from a missing token",
    "the key is to be replaced",
    "a state that is not to be had",
    "a daemon at work with this state",
    "mend the cause first",
    "kept for ever",
    "the begin of its validity",
    "the account is gone for good",
    "'x' is no address",
    "two files that are no sockets",
    "tried ever more rarely",
    "it is asked all the same",
    "the settings of before",
    "no responder knows of it",
    "nobody asks it",
    "somebody has to fix it",
    "whoever holds the key",
    "written anew",
    "it is handed the key",
    "the token stands until the verdict",
    "the old certificate goes on being served",
    "trying again brings nothing",
    "settings that do not hold",
    "'why' says more",
    "the responder is well",
    "wait till tomorrow",
    "one file a command",
    "one a minute",
)
GOOD = (
    "there is no socket",
    "There is no certificate to revoke.",
    "the key is no longer needed",
    "a backend that is no match for nginx",
    "for good reason",
    "[] stands for each element",
    "the user 'nobody'",
    "it goes to the next CA",
    "once a day, twice an hour",
    "a well-known path that works well",
    "recommended amendments",
    "the output tells which certificate is due",
    "one file per command",
)


def test_files_read_well() -> None:
    found = [one for name in checked_files() for one in complaints(name, (PROJECT / name).read_text())]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("text", BAD)
def test_phrase_is_found(text: str) -> None:
    assert [one.partition(":")[0] for one in complaints("page.md", f"A page.\n\n{text}\n")] == ["page.md"]


def test_every_phrase_has_an_example() -> None:
    assert [phrase for phrase in PHRASES if not any(re.search(phrase, text, re.IGNORECASE) for text in BAD)] == []


@pytest.mark.parametrize("text", GOOD)
def test_good_english_is_left_alone(text: str) -> None:
    assert complaints("page.md", text) == []


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("# a\n\n# The first one\n# is told.\n", 4),
        ("x = 1\n# It is\n# no file.\n", 2),
        ('"""One line.\n\nThe file is\n    no socket.\n"""\n', 3),
        ('x = 2\nraise ValueError(f"{x} is no number")\n', 2),
        ('x = 3\nprint(f"""It {f"{x}"}\nis no file {x}""")\n', 3),
        ("def wait() -> None:\n    pass  # nobody waits\n", 2),
    ],
    ids=["comment", "wrapped comment", "wrapped docstring", "message", "nested message", "comment behind code"],
)
def test_phrase_in_python_has_its_line(source: str, line: int) -> None:
    [found] = complaints("module.py", source)
    assert found.startswith(f"module.py:{line}: ")


def test_code_is_not_prose() -> None:
    assert complaints("module.py", "till = 1\n") == []


@pytest.mark.parametrize("word", sorted(OPENINGS))
def test_docstring_without_a_verb_is_found(word: str) -> None:
    complaint = f"module.py:2: a docstring starts with {word!r}: start with a verb or a noun phrase"
    assert complaint in complaints("module.py", f'def f() -> None:\n    """{word} it does."""\n')


@pytest.mark.parametrize("docstring", ["Return what is due.", "", " ", "Whatsoever."], ids=repr)
def test_docstring_with_a_verb_or_none_is_left_alone(docstring: str) -> None:
    assert complaints("module.py", f'"""{docstring}"""\n') == []


@pytest.mark.parametrize("name", ["told", "_told", "ToldPeer", "is_told", "NOT_TOLD"])
def test_name_is_found_once(name: str) -> None:
    assert complaints("module.py", f"{name} = 1\n{name}.x = 2\n") == [
        f"module.py:1: the name {name!r} contains 'told': write sent, reported"
    ]


def test_name_that_only_resembles_one_is_left_alone() -> None:
    assert complaints("module.py", "bold_toldo = returned = worldwide = 1\n") == []
