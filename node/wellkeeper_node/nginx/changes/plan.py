"""Propose the changes of nginx's configuration that certificates need: a pure function of the configuration.

Each certificate is served by the server blocks that answer for its names now: all on port 80 answer challenges, and
those on port 443 with one of its names use its files. A name that no block answers for gets a new block.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from wellkeeper_node.nginx.changes.blocking import has_content
from wellkeeper_node.nginx.changes.diff import unified
from wellkeeper_node.nginx.changes.edits import Edit, Source, apply
from wellkeeper_node.nginx.changes.in_use import InUse, Working
from wellkeeper_node.nginx.changes.places import edit_http, included_file
from wellkeeper_node.nginx.changes.server_block import SNIPPETS, BlockEdits, Host
from wellkeeper_node.nginx.changes.statements import Statement, line_of, scan
from wellkeeper_node.nginx.changes.targets import Target
from wellkeeper_node.nginx.configuration import Configuration
from wellkeeper_node.nginx.sites import Site, defaults, has_ipv6_default, has_upstream, matching, sites

_NOTHING: Final[Working] = MappingProxyType({})
_CONTENT: Final = "    # Your site: root, or proxy_pass, or a redirect."


@dataclass(frozen=True, slots=True)
class Plan:
    """`changes` has the old and new text of each file by its path; `notes` are what a person must do."""

    changes: Mapping[str, tuple[str, str]]
    notes: Sequence[str]

    @property
    def includes(self) -> tuple[tuple[str, str], ...]:
        """Return the places of the added includes in the new files, as (FILE:LINE, line)."""
        return _includes(self.changes)

    @property
    def patch(self) -> str:
        """Return the unified diff; "" when nothing is missing."""
        return unified(self.changes)


def propose(
    configuration: Configuration,
    files: Mapping[str, str],
    targets: Sequence[Target],
    host: Host,
    working: Working = _NOTHING,
) -> Plan:
    """Return the changes. `files` has the exact text of each file that the configuration names.

    Idempotent: for a configuration with these changes, it returns none.
    """
    found = sites(configuration, host.ports)
    http, https = [one for one in found if one.is_http], [one for one in found if one.is_https]
    host = replace(host, has_ipv6_default=has_ipv6_default(configuration, host.ports.http))
    work = _Work(configuration, files, host, InUse.of(configuration, working, targets, https))
    for target in targets:
        work.serve(_Serving.of(target, http, https))
    work.define_upstream()
    return work.finish()


@dataclass(frozen=True, slots=True)
class _Serving:
    """The blocks that answer for the certificate now; `named` are those of `http` with one of its names.

    No block on port 80 answers for `unanswered`.
    """

    target: Target
    http: Sequence[Site]
    https: Sequence[Site]
    named: Sequence[Site]
    unanswered: Sequence[str]

    @classmethod
    def of(cls, target: Target, http: Sequence[Site], https: Sequence[Site]) -> "_Serving":
        by_name = {name: matching(http, name) for name in target.names}
        others = [name for name, found in by_name.items() if not found]
        named = _unique(by_name.values())
        answering = [*named, *(one for one in defaults(http) if others and one not in named)]
        secure = _unique(matching(https, name) for name in target.names)
        if not secure and not any(has_content(one.block.block) for one in named):
            secure = [
                one
                for one in https
                if one.has_no_names and (one in answering or (named and has_content(one.block.block)))
            ]
        return cls(target, answering, secure, named, () if defaults(http) else others)


@dataclass
class _Work:
    configuration: Configuration
    files: Mapping[str, str]
    host: Host
    in_use: InUse
    blocks: dict[tuple[str, int], BlockEdits] = field(default_factory=dict)
    appended: dict[str, list[str]] = field(default_factory=dict)
    created: dict[str, str] = field(default_factory=dict)
    in_http: list[str] = field(default_factory=list)
    new_http: set[str] = field(default_factory=set)
    new_https: dict[frozenset[str], str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def serve(self, serving: "_Serving") -> None:
        """Edit the blocks of the certificate, or write new ones."""
        target = serving.target
        if not serving.http and not serving.https:
            self._create(f"{target.names[0]}.conf", self._new_http(target.names) + self._new_https(target))
            return
        for block in self._blocks(serving.http):
            block.answer_challenges()
        for block in self._blocks(serving.https):
            self._use(block, target)
        if serving.unanswered and serving.https:
            self._append(serving.https[0].block.file, self._new_http(serving.unanswered))
        elif serving.unanswered:
            self._create(f"{serving.unanswered[0]}.conf", self._new_http(serving.unanswered))
        if not serving.https:
            self._add_https(serving)

    def _use(self, block: BlockEdits, target: Target) -> None:
        if note := self.in_use.why_kept(block.site, target):
            self.notes.append(note)
        else:
            block.use(target.paths)

    def _add_https(self, serving: "_Serving") -> None:
        """Listen on port 443 in the blocks that serve the site on port 80, or append a block."""
        target = serving.target
        candidates = serving.named or [one for one in serving.http if one.has_no_names]
        with_content = [one for one in candidates if has_content(one.block.block)]
        if note := self.in_use.why_not_shadowed(target, with_content) or _needs_key(target):
            self.notes.append(note)
            return
        blocks = self._blocks(candidates)
        if candidates and not blocks:
            return  # a note says so
        usable = [one for one in blocks if one.site in with_content and (serving.named or one.is_free())]
        for block in usable:
            block.listen_with_tls(target.paths)
        if not usable:
            self._append(serving.http[0].block.file, self._new_https(target))

    def define_upstream(self) -> None:
        """Include upstream.conf in a file of its own, unless there is an upstream."""
        if not has_upstream(self.configuration):
            self._create("wellkeeper.conf", [f"include {SNIPPETS}/upstream.conf;"])

    def finish(self) -> Plan:
        """Return the edited files."""
        edits = defaultdict[str, list[Edit]](list)
        for block in self.blocks.values():
            edits[block.site.block.file] += block.finish()
        if self.in_http and (found := edit_http(self.files, self.in_http)):
            edits[found[0]].append(found[1])
        elif self.in_http:
            self.notes.append(f"Add to nginx's http block: {' '.join(self.in_http)}")
        changes = {path: ("", new) for path, new in self.created.items()}
        for file in dict.fromkeys([*edits, *self.appended]):
            old = self.files[file]
            changes[file] = (old, _with_lines(apply(old, edits.get(file, [])), self.appended.get(file, [])))
        changes = {path: pair for path, pair in changes.items() if pair[0] != pair[1]}
        notes = [*self.notes, *(note for block in self.blocks.values() for note in block.notes)]
        return Plan(changes, tuple(dict.fromkeys(notes)))

    def _blocks(self, found: Sequence[Site]) -> Sequence[BlockEdits]:
        """Return the edits of each block once, also of one in a file that is included twice."""
        blocks = dict[tuple[str, int], BlockEdits]()
        for site in found:
            text = self.files.get(site.block.file)
            statement = None if text is None else _server_at(text, site)
            if text is None or statement is None:
                self.notes.append(f"cannot find the server block at {site.place}. Add the lines there yourself.")
                continue
            key = (site.block.file, statement.start)
            blocks[key] = self.blocks.setdefault(key, BlockEdits(site, statement, Source(text), self.host))
        return list(blocks.values())

    def _new_http(self, names: Sequence[str]) -> list[str]:
        """Return a block for those of the names that have no new block yet."""
        fresh = [name for name in names if name not in self.new_http]
        if not fresh:
            return []
        self.new_http.update(fresh)
        return self._server(
            [
                *self.host.listen(self.host.ports.http),
                f"server_name {' '.join(fresh)};",
                f"include {SNIPPETS}/challenge.conf;",
                "location / { return 301 https://$host$request_uri; }",
            ]
        )

    def _new_https(self, target: Target) -> list[str]:
        """Return a block for the certificate; the first one of the same names wins."""
        if note := _needs_key(target):
            self.notes.append(note)
            return []
        used = self.new_https.setdefault(frozenset(target.names), target.paths.chain)
        if used != target.paths.chain:
            names = ", ".join(target.names)
            self.notes.append(
                f"The new server block of {names} uses {used}. To serve another key type too, add: {target.paths}"
            )
            return []
        lines = [
            *self.host.listen(self.host.ports.https, "ssl"),
            f"server_name {' '.join(target.names)};",
            f"include {SNIPPETS}/tls.conf;",
            *target.paths.lines(),
        ]
        server = self._server([*lines, "location / { return 404; }"])
        return [*server[:-2], _CONTENT, *server[-2:]]

    def _server(self, lines: Sequence[str]) -> list[str]:
        return ["server {", *(f"    {line}" for line in lines), "}"]

    def _append(self, file: str, lines: Sequence[str]) -> None:
        if lines:
            known = self.appended.setdefault(file, [])
            known += ["", *lines]

    def _create(self, name: str, lines: Sequence[str]) -> None:
        """Add the lines to the file of this name in conf.d, or else to the http block."""
        if not lines:
            return
        path = included_file(self.configuration, self.files, name)
        if path is None:
            self.in_http += lines
        elif path in self.files:
            self._append(path, lines)
        else:
            self.created[path] = self.created.get(path, "") + "".join(f"{line}\n" for line in lines)


def _needs_key(target: Target) -> str:
    """Return a note if a new server block on port 443 would lack its key."""
    if target.paths.certificate_key is not None:
        return ""
    return f"Once it is obtained, add a server block on port 443 for {', '.join(target.names)} with: {target.paths}"


def _unique(groups: Iterable[Sequence[Site]]) -> list[Site]:
    found = list[Site]()
    for group in groups:
        found += [one for one in group if one not in found]
    return found


def _server_at(text: str, site: Site) -> Statement | None:
    try:
        servers = [one for top in scan(text) for one in top.walk() if one.name == "server" and one.block is not None]
    except ValueError:
        return None
    at_line = [one for one in servers if line_of(text, one.start) == site.block.line]
    return at_line[site.ordinal % len(at_line)] if at_line else None


def _with_lines(text: str, lines: Sequence[str]) -> str:
    if not lines:
        return text
    newline = "\r\n" if "\r\n" in text else "\n"
    separator = "" if text.endswith("\n") else newline
    return f"{text}{separator}{newline.join(lines)}{newline}"


def _includes(changes: Mapping[str, tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the places of our includes that the new texts have and the old ones have not."""
    found = list[tuple[str, str]]()
    for path, (old, new) in changes.items():
        known = old.split("\n")
        for number, line in enumerate(new.split("\n"), 1):
            if f"include {SNIPPETS}/" in line:
                if line in known:
                    known.remove(line)
                else:
                    found.append((f"{path}:{number}", line.strip()))
    return tuple(found)
