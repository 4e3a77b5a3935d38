"""Commands as the documentation has them."""

import re

from stand.processes import PROJECT


def commands(page: str, marker: str) -> str:
    """Return the fenced block of shell commands on a page that contains a text; there is exactly one."""
    found = [block for block in _blocks(page) if marker in block]
    assert len(found) == 1, f"{page}: {len(found)} blocks contain {marker!r}"
    return found[0]


def configuration(page: str, language: str, marker: str) -> str:
    """Return the fenced block of this language on a page that contains a text; there is exactly one."""
    found = [block for block in _blocks(page, language) if marker in block]
    assert len(found) == 1, f"{page}: {len(found)} {language} blocks contain {marker!r}"
    return found[0]


def replaced(text: str, old: str, new: str) -> str:
    """Return the text with the one occurrence of `old` replaced."""
    assert text.count(old) == 1, f"{old!r} is not in, or more than once in:\n{text}"
    return text.replace(old, new)


def edited(block: str, instead: str) -> str:
    """Return the block with another command instead of the one with `sudoedit`."""
    text, count = re.subn(r"^sudoedit .*$", instead, block, flags=re.MULTILINE)
    assert count == 1, block
    return text


class Page:
    """All blocks of shell commands on a page, in its order. A test that reaches `end` has taken every one."""

    def __init__(self, page: str) -> None:
        self._page = page
        self._blocks = _blocks(page)

    def next(self, marker: str) -> str:
        """Return the next block, which contains a text."""
        block = self._blocks.pop(0)
        assert marker in block, f"{self._page}: {marker!r} is not in the next block:\n{block}"
        return block

    def end(self) -> None:
        assert self._blocks == [], f"{self._page} has more blocks"


def _blocks(page: str, language: str = "sh") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (PROJECT / page).read_text(), re.DOTALL | re.MULTILINE)
