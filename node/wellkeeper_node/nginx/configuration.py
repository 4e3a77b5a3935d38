"""Parse the output of `nginx -T` into directives with file and line; includes are expanded in place.

ngxparse (imported as `crossplane`) parses the text of each file. Nothing is read from disk, because nginx printed
every file, and directives of modules that the parser does not know are kept.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import crossplane

_MARKER: Final = "# configuration file "


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive, with its arguments unquoted; `block` is what is between its braces."""

    name: str
    arguments: tuple[str, ...]
    file: str
    line: int
    block: tuple["Directive", ...] = ()

    def walk(self) -> Iterator["Directive"]:
        """Yield the directive and all those inside it, in order."""
        yield self
        for inner in self.block:
            yield from inner.walk()


@dataclass(frozen=True, slots=True)
class Configuration:
    """All directives of an nginx; relative paths start at `folder`, the directory of the main file.

    `errors` are what the parser could not read, each with its file; those directives are missing.
    """

    folder: Path
    directives: tuple[Directive, ...]
    errors: tuple[str, ...] = ()

    def walk(self) -> Iterator[Directive]:
        """Yield every directive, in order."""
        for directive in self.directives:
            yield from directive.walk()

    def path(self, argument: str) -> Path:
        """Return the path as nginx opens it; symbolic links are not resolved."""
        return self.folder / argument


def parse(dump: str) -> Configuration:
    """Parse what `nginx -T` printed. Raises ValueError when it contains no configuration file."""
    texts = split_files(dump)
    if not texts:
        raise ValueError("'nginx -T' printed no configuration file")
    parsed = {file: _parse_file(file, text) for file, text in texts.items()}
    main = next(iter(parsed))
    errors = tuple(f"{file}: {error['error']}" for file, one in parsed.items() for error in one["errors"])
    contents = {file: one["config"][0]["parsed"] for file, one in parsed.items()}
    directives = _Tree(Path(main).parent, contents).expand(contents[main], (main,))
    return Configuration(Path(main).parent, tuple(directives), errors)


def split_files(dump: str) -> dict[str, str]:
    """Return the text of each file by its path, the main file first; what nginx reports before it is left out."""
    texts: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in dump.splitlines():
        if line.startswith(_MARKER) and line.endswith(":"):
            # nginx prints a file that is included twice only once.
            lines = texts.setdefault(line.removeprefix(_MARKER)[:-1], [])
        else:
            lines.append(line)
    return {file: "\n".join(found) for file, found in texts.items()}


def _parse_file(file: str, text: str) -> Any:  # noqa: ANN401 - the parser has no types
    return crossplane.parse_string(text, filename=file, single=True, check_ctx=False, check_args=False)


@dataclass(frozen=True, slots=True)
class _Tree:
    folder: Path
    contents: Mapping[str, Any]

    def expand(self, statements: Iterable[Any], files: tuple[str, ...]) -> Iterator[Directive]:
        """Yield the directives; `files` are those that include one another down to here."""
        for one in statements:
            if one["directive"] == "include":
                for file in self._included(one["args"][:1]):
                    if file not in files:
                        yield from self.expand(self.contents[file], (*files, file))
                continue
            block = tuple(self.expand(one.get("block", ()), files))
            yield Directive(one["directive"], tuple(one["args"]), files[-1], one["line"], block)

    def _included(self, patterns: Iterable[str]) -> Iterator[str]:
        """Yield the files of the dump that glob(3) found, sorted as there; `*` does not match a slash."""
        for pattern in patterns:
            path = str(self.folder / pattern)
            yield from sorted(file for file in self.contents if file == path or matches(file, path))


def matches(file: str, pattern: str) -> bool:
    """Return whether glob(3) finds the file by the pattern; `*` does not match a slash."""
    parts, wanted = file.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))
