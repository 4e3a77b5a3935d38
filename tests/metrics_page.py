"""The metrics that docs/monitoring.md explains."""

import re
from pathlib import Path
from typing import Final

_PAGE: Final = Path(__file__).parent.parent / "docs/monitoring.md"
_ROW: Final = re.compile(r"^\| `(\w+)(?:\{[\w, ]+\})?` \|", re.MULTILINE)
_TYPE: Final = re.compile(r"^# TYPE wellkeeper_(\w+) \w+$", re.MULTILINE)


def documented(heading: str) -> list[str]:
    """Return the names in the section with this heading, without `wellkeeper_` and labels, sorted."""
    _, _, section = _PAGE.read_text().partition(f"# {heading}\n")
    return sorted(_ROW.findall(re.split(r"^#+ ", section, maxsplit=1, flags=re.MULTILINE)[0]))


def exported(text: str) -> list[str]:
    """Return the names in the Prometheus text format, without `wellkeeper_`, sorted."""
    return sorted(_TYPE.findall(text))
