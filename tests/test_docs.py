"""Checks of the documentation against the programs."""

import re
from pathlib import Path

PROJECT = Path(__file__).parent.parent


def test_every_best_practice_names_its_evidence() -> None:
    counts = {"S": 10, "T": 9, "F": 12, "V": 10, "P": 12, "M": 8}
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in (PROJECT / "docs/design/0014-best-practices.md").read_text().splitlines()
        if re.match(r"\| [A-Z]\d+ \|", line)
    ]
    assert [row[0] for row in rows] == [f"{letter}{n}" for letter, count in counts.items() for n in range(1, count + 1)]
    assert [row[0] for row in rows if len(row) != 4 or not _named(row[-1])] == []
    assert [f"{row[0]}: {name}" for row in rows for name in _named(row[-1]) if not _is_in_project(name)] == []


def _named(cell: str) -> list[str]:
    """Return the files and tests that a cell cites."""
    return re.findall(r"`([^`]+)`", cell)


def _is_in_project(name: str) -> bool:
    path, _, test = name.partition("::")
    file = PROJECT / path
    return file.exists() and (
        not test or re.search(rf"^(async )?def {test}\(", file.read_text(), re.MULTILINE) is not None
    )


def test_links_between_pages_resolve() -> None:
    pages = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("nginx/*.md")]
    broken = [f"{page.name}: {target}" for page in pages for target in _targets(page) if not _exists(page, target)]
    assert broken == []


def test_every_page_is_in_the_contents() -> None:
    contents = (PROJECT / "docs/index.md").read_text()
    missing = [page.name for page in sorted(PROJECT.glob("docs/*.md")) if f"]({page.name})" not in contents]
    missing.remove("index.md")
    assert missing == [], "add each page to the list of its section in docs/index.md"


def test_changelog_has_each_entry_once_and_whole() -> None:
    entries = re.split(r"\n(?=- |#|\[)", (PROJECT / "CHANGELOG.md").read_text())
    entries = [one.strip() for one in entries if one.startswith("- ")]
    beginnings = [one[:60] for one in entries]
    assert [one for one in beginnings if beginnings.count(one) > 1] == []
    assert [one for one in entries if not one.endswith(".")] == []


def test_readme_is_short() -> None:
    text, links = (PROJECT / "README.md").read_text().split("## Documentation")
    assert text.count("\n") <= 80
    assert links.count("](") < 25


def _targets(page: Path) -> list[str]:
    parts = page.read_text().split("](")[1:]
    return [part.partition(")")[0].partition("#")[0] for part in parts]


def _exists(page: Path, target: str) -> bool:
    return not target or target.startswith("https://") or (page.parent / target).exists()
