"""Commands as the documentation has them."""

import re

from stand.processes import PROJECT


def commands(page: str, marker: str) -> str:
    """Return the fenced block of shell commands on a page that contains a text; there is exactly one."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (PROJECT / page).read_text(), re.DOTALL | re.MULTILINE)
    found = [block for block in blocks if marker in block]
    assert len(found) == 1, f"{page}: {len(found)} blocks contain {marker!r}"
    return str(found[0])


def replaced(text: str, old: str, new: str) -> str:
    """Return the text with the one occurrence of `old` replaced."""
    assert text.count(old) == 1, f"{old!r} is not in, or more than once in:\n{text}"
    return text.replace(old, new)
