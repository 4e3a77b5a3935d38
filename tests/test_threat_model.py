"""Each claim of docs/threat-model.md names tests, and pytest collects each of them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_python

PROJECT = Path(__file__).parent.parent
_PARTIES = (PROJECT / "docs/threat-model.md").read_text().partition("\n## Parties\n")[2]
_TEST = re.compile(r"^  <!-- test: (tests/\S+\.py::test_\w+) -->$", re.MULTILINE)


def sections() -> dict[str, str]:
    """Return the text about each party."""
    return {one.partition("\n")[0]: one for one in _PARTIES.split("\n### ")[1:]}


def claims(text: str) -> list[str]:
    return text.split("\n- ")[1:]


def test_each_party_has_what_is_gained_and_what_is_not() -> None:
    assert len(sections()) >= 10
    for party, text in sections().items():
        _, gains, lacks = re.split(r"\n\*\*(?:Gains|Does not gain)\*\*\n", text)
        assert claims(gains), party
        assert claims(lacks), party


def test_each_claim_ends_with_its_tests() -> None:
    assert [one for one in claims(_PARTIES) if not _TEST.search(one)] == []
    comments = re.findall(r"^.*<!--.*$", _PARTIES, re.MULTILINE)
    assert [one for one in comments if not _TEST.fullmatch(one)] == []


def test_pytest_collects_each_test_that_a_claim_names() -> None:
    """Let pytest say which ones it does not find; some may be left out here, such as those that need root."""
    tests = sorted(set(_TEST.findall(_PARTIES)))
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-n", "0", *tests]
    found = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
