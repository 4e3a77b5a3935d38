"""Find where new lines of the http block belong: a file that it includes, or its end."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from wellkeeper_node.nginx.changes.edits import Edit, Source
from wellkeeper_node.nginx.changes.statements import Statement, scan
from wellkeeper_node.nginx.configuration import Configuration, matches

_CONF_D: Final = "conf.d"


def included_file(configuration: Configuration, files: Mapping[str, str], name: str) -> str | None:
    """Return the path of the file in conf.d, if the http block itself includes it, as nginx's packages do."""
    path = str(configuration.folder / _CONF_D / name)
    inside = (one for _, http in _http_blocks(files) for one in http.block or () if one.name == "include")
    is_included = any(matches(path, str(configuration.path(one.arguments[0]))) for one in inside if one.arguments)
    return path if is_included else None


def edit_http(files: Mapping[str, str], lines: Sequence[str]) -> tuple[str, Edit] | None:
    """Return the file of the http block, and the edit that adds the lines at its end."""
    for file, http in _http_blocks(files):
        if http.block:
            return file, Source(files[file]).lines_after(http.block[-1], lines)
    return None


def _http_blocks(files: Mapping[str, str]) -> Iterator[tuple[str, Statement]]:
    for file, text in files.items():
        try:
            found = scan(text)
        except ValueError:
            continue
        yield from ((file, one) for one in found if one.name == "http")
