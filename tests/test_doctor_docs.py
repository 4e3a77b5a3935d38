"""docs/doctor.md describes exactly the checks of doctor, in their order, with the marks that they have."""

import re
from pathlib import Path

from wellkeeper_issuer.assembly.doctor import CHECKS
from wellkeeper_issuer.assembly.doctor.context import CheckContext
from wellkeeper_issuer.doctor.checks import Check

_PAGE = (Path(__file__).parent.parent / "docs/doctor.md").read_text()
_ENTRY = re.compile(
    r"^### (?P<id>[a-z0-9-]+)\n\n\*(?P<mark>[A-Z][a-z ,]+)\.\* (?P<text>.+(?:\n.+)*)\n\n(?P<table>\|.+)", re.MULTILINE
)


def test_every_id_has_an_entry_with_what_it_looks_at_and_what_it_may_say() -> None:
    headings = re.findall(r"^### (.+)$", _PAGE, re.MULTILINE)
    assert headings == [one["id"] for one in _ENTRY.finditer(_PAGE)]
    assert headings == [id_ for check in CHECKS for id_ in check.ids]


def test_marks_are_those_of_the_checks() -> None:
    marks = {one["id"]: one["mark"] for one in _ENTRY.finditer(_PAGE)}
    assert marks == {id_: _mark(check) for check in CHECKS for id_ in check.ids}


def test_every_entry_says_how_to_fix_it() -> None:
    for entry in _PAGE.partition("## Checks\n")[2].split("\n### ")[1:]:
        rows = re.findall(r"^\| (.+) \| (.+) \|$", entry, re.MULTILINE)
        assert rows[:2] == [("it says", "fix"), ("---", "---")], entry
        assert len(rows) > 2


def _mark(check: Check[CheckContext]) -> str:
    if check.needs_network:
        return "Network"
    return "Local, daily" if check.is_cheap else "Local"
