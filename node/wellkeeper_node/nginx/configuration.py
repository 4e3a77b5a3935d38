"""Parse nginx's configuration into directives with file and line; includes are expanded in place.

ngxparse (imported as `crossplane`) parses the text of each file: what `nginx -T` printed, or what is on a disk where
nothing can run it. Directives of modules that the parser does not know are kept.
"""

import errno
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import crossplane

from wellkeeper_node.nginx.disk import Disk, HostDisk

HERE: Final = HostDisk()
_MARKER: Final = "# configuration file "
_WILDCARD: Final = re.compile(r"[*?\[]")
_MOST_CHARACTERS: Final = 64 * 1024 * 1024
# Empty files must have an end, too; each of 10 000 sites may have a file of its own.
_OF_A_FILE: Final = 1024


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

    `errors` are what the parser could not read, each with its file; those directives are missing. `warnings` are
    nginx's. `files` are the paths of all files, the main one first; `folders` the directories that `include` searches.
    `disk` is where all these paths lead; `is_tested` if nginx itself read them.
    """

    folder: Path
    directives: tuple[Directive, ...]
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    disk: Disk = HERE
    is_tested: bool = True

    def walk(self) -> Iterator[Directive]:
        """Yield every directive, in order."""
        for directive in self.directives:
            yield from directive.walk()

    def path(self, argument: str) -> Path:
        """Return the path as nginx opens it; symbolic links are not resolved."""
        return self.folder / argument


@dataclass(frozen=True, slots=True)
class Sources:
    """The text of each file by its path, the main one first, and what nginx reported.

    `parsed` are the files that were read here, not by nginx: only parsing shows what they include.
    """

    texts: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    disk: Disk = HERE
    parsed: Mapping[str, Any] | None = None

    def configuration(self) -> Configuration:
        """Return the directives."""
        parsed = self.parsed or {file: _parse_file(file, text) for file, text in self.texts.items()}
        main = next(iter(parsed))
        errors = tuple(f"{file}: {error['error']}" for file, one in parsed.items() for error in one["errors"])
        contents = {file: one["config"][0]["parsed"] for file, one in parsed.items()}
        tree = _Tree(Path(main).parent, contents)
        directives = tuple(tree.expand(contents[main], (main,)))
        return Configuration(
            tree.folder,
            directives,
            errors,
            self.warnings,
            tuple(self.texts),
            tuple(tree.searched),
            self.disk,
            is_tested=self.parsed is None,
        )


def dumped(dump: str) -> Sources:
    """Return what `nginx -T` printed. Raises ValueError when it contains no configuration file."""
    texts = split_files(dump)
    if not texts:
        raise ValueError("'nginx -T' printed no configuration file")
    return Sources(texts, tuple(_warnings(dump)))


def parse(dump: str) -> Configuration:
    """Parse what `nginx -T` printed. Raises ValueError when it contains no configuration file."""
    return dumped(dump).configuration()


def read(main: str, disk: Disk) -> Sources:
    """Return the file with this path and all that it includes. Raises OSError with the file's name; it blocks."""
    texts, parsed, waiting = dict[str, str](), dict[str, Any](), deque([main])
    size = 0
    while waiting:
        file = waiting.popleft()
        if file in texts:
            continue
        try:
            texts[file] = disk.read(file).decode(errors="replace")
        except OSError as error:
            raise OSError(error.errno, error.strerror, file) from error
        size += len(texts[file]) + _OF_A_FILE
        if size > _MOST_CHARACTERS:
            raise OSError(errno.EFBIG, "its configuration is too large", main)
        parsed[file] = _parse_file(file, texts[file])
        for argument in _includes(parsed[file]["config"][0]["parsed"]):
            path = str(Path(main).parent / argument)
            waiting += sorted(disk.glob(path)) if _WILDCARD.search(path) else [path]
    return Sources(texts, disk=disk, parsed=parsed)


def _includes(statements: Iterable[Any]) -> Iterator[str]:
    """Yield what the `include` directives name, those in blocks too."""
    for one in statements:
        if one["directive"] == "include":
            yield from one["args"][:1]
        yield from _includes(one.get("block", ()))


def split_files(dump: str) -> dict[str, str]:
    """Return the text of each file by its path, the main file first; what nginx reports before it is left out."""
    texts: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in dump.removesuffix("\n").split("\n"):
        if line.startswith(_MARKER) and line.endswith(":"):
            # nginx prints a file that is included twice only once.
            lines = texts.setdefault(line.removeprefix(_MARKER)[:-1], [])
        else:
            lines.append(line)
    return {file: "\n".join(found) for file, found in texts.items()}


def _warnings(dump: str) -> Iterator[str]:
    """Yield nginx's warnings, which are above the first file."""
    for line in dump.partition(_MARKER)[0].split("\n"):
        if "[warn]" in line:
            yield line.removeprefix("nginx: ")


def _parse_file(file: str, text: str) -> Any:  # noqa: ANN401 - the parser has no types
    return crossplane.parse_string(text, filename=file, single=True, check_ctx=False, check_args=False)


@dataclass(frozen=True, slots=True)
class _Tree:
    folder: Path
    contents: Mapping[str, Any]
    searched: dict[str, None] = field(default_factory=dict)

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
            found = sorted(file for file in self.contents if file == path or matches(file, path))
            if wildcard := _WILDCARD.search(path):
                names = (f"{path[: wildcard.start()]}*", *found)
                self.searched.update(dict.fromkeys(str(Path(one).parent) for one in names))
            yield from found


def matches(file: str, pattern: str) -> bool:
    """Return whether glob(3) finds the file by the pattern; `*` does not match a slash."""
    parts, wanted = file.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))
