"""Find the lines of nginx's configuration that `certbot --nginx` wrote and that Wellkeeper's users must change.

Pure functions. Comments count: certbot marks its lines by one, and parsers of nginx's language drop them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

_MARK: Final = "managed by Certbot"


class Kind(StrEnum):
    """REDIRECT answers the CA before the challenge location does; FILE names a file of certbot's."""

    REDIRECT = "redirect"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class CertbotLine:
    file: str
    line: int
    text: str
    kind: Kind


def find_certbot_lines(files: Mapping[str, str], folder: Path) -> list[CertbotLine]:
    """Return the lines in order; `files` are nginx's, by path, and `folder` is certbot's.

    Lines that name `live/` are left out: the report of the import lists those paths.
    """
    return [
        found
        for file, text in files.items()
        if not Path(file).is_relative_to(folder)
        for found in _in_file(file, text.split("\n"), folder)
    ]


def _in_file(file: str, lines: Sequence[str], folder: Path) -> Iterator[CertbotLine]:
    for number, line in enumerate(lines, 1):
        directive, _, comment = line.partition("#")
        text = directive.strip()
        if f"{folder}/" in text and f"{folder}/live/" not in text:
            yield CertbotLine(file, number, text, Kind.FILE)
        elif _MARK in comment and text.startswith("return"):
            yield CertbotLine(file, number, text, Kind.REDIRECT)
        elif _MARK in comment and text == "}":
            begin = _beginning(lines[:number])
            yield CertbotLine(file, begin, lines[begin - 1].strip(), Kind.REDIRECT)


def _beginning(lines: Sequence[str]) -> int:
    """Return the number of the line that opens the block which the last line closes."""
    depth = 0
    for number in range(len(lines), 0, -1):
        code = lines[number - 1].partition("#")[0]
        depth += code.count("}") - code.count("{")
        if depth <= 0:
            return number
    return len(lines)
