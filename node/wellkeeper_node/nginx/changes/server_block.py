"""Edit one server block so that it answers challenges on port 80 and uses a certificate on port 443: pure functions.

nginx runs `return`, `rewrite` and `if` of a server block before it chooses a location, so they also answer the CA. A
block without locations gets them moved into `location /`, which changes nothing else. In other blocks a guard with
`break` comes first: their locations would answer what was redirected, and a `rewrite` could run twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from wellkeeper_node.nginx.changes.blocking import as_directive, is_blocking, is_location_of_site, spares_challenges
from wellkeeper_node.nginx.changes.edits import Edit, Source
from wellkeeper_node.nginx.changes.statements import Statement, line_of
from wellkeeper_node.nginx.changes.targets import Paths
from wellkeeper_node.nginx.configuration import Directive
from wellkeeper_node.nginx.servers import listen_address
from wellkeeper_node.nginx.sites import DEFAULT_FLAGS, Ports, Site

SNIPPETS: Final = "snippets/wellkeeper"
_GUARD: Final = r'if ($uri ~ "^/\.well-known/acme-challenge/") { break; }'
_CERTBOT: Final = "/etc/letsencrypt/"
_PAIR: Final = ("ssl_certificate", "ssl_certificate_key")


@dataclass(frozen=True, slots=True)
class Host:
    """The ports of nginx on this host, whether it can use IPv6, and whether IPv6 has a default server on port 80."""

    ports: Ports = field(default_factory=Ports)
    has_ipv6: bool = True
    has_ipv6_default: bool = False

    def listen(self, port: int, flags: str = "") -> list[str]:
        """Return the `listen` lines for both families."""
        ending = f" {flags};" if flags else ";"
        return [f"listen {port}{ending}"] + ([f"listen [::]:{port}{ending}"] if self.has_ipv6 else [])


@dataclass
class BlockEdits:
    """The edits of one server block; `notes` are what it cannot do, each with file and line."""

    site: Site
    statement: Statement
    source: Source
    host: Host
    edits: list[Edit] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _in_head: list[str] = field(default_factory=list)
    _answers: bool = False
    _paths: Paths | None = None

    def answer_challenges(self) -> None:
        """Include challenge.conf, listen on IPv6, and keep `return` and the like away from the CA. Idempotent."""
        if self._answers:
            return
        self._answers = True
        if not self.site.answers_challenges():
            self._in_head.append(f"include {SNIPPETS}/challenge.conf;")
        self._listen_on_ipv6()
        blocking = [one for one in self.site.block.block if is_blocking(one)]
        if not blocking or self._is_guarded(blocking[0]):
            return
        own = [one for one in self.statement.block or () if is_blocking(as_directive(one))]
        if len(own) < len(blocking):
            self.edits.append(self.source.lines_inside(self.statement, [_GUARD]))
        elif self._has_locations() or any(inner.name == "rewrite" for one in own for inner in one.walk()):
            self.edits.append(self.source.lines_before(own[0], [_GUARD]))
        else:
            self.edits += self.source.wrapped("location /", own, self.source.unit(self.statement))

    def use(self, paths: Paths) -> None:
        """Use the certificate: replace the pair that the block has, or add one. The first certificate wins."""
        if paths.chain in self.site.chains:
            self._note_files_of_certbot()
            return
        if self._is_taken(paths):
            return
        self._note_files_of_certbot()
        own = [one for one in self.statement.block or () if one.name in _PAIR]
        if len(own) == len([one for one in self.site.block.block if one.name in _PAIR]):
            self._replace_pair(own, paths)
        else:
            self._replace_include(paths)

    def listen_with_tls(self, paths: Paths) -> None:
        """Listen on port 443 as well, with the certificate."""
        if self._is_taken(paths):
            return
        self._in_head += self.host.listen(self.host.ports.https, "ssl")
        self._in_head += [f"include {SNIPPETS}/tls.conf;", *paths.lines()]

    def finish(self) -> list[Edit]:
        """Return all edits."""
        if not self._in_head:
            return self.edits
        own = [one for one in self.statement.block or () if one.name in {"listen", "server_name"}]
        if own:
            head = self.source.lines_after(own[-1], self._in_head)
        else:
            head = self.source.lines_inside(self.statement, self._in_head)
        return [*self.edits, head]

    def is_free(self) -> bool:
        """Return whether no other certificate was chosen for the block."""
        return self._paths is None

    def _is_taken(self, paths: Paths) -> bool:
        if self._paths is None:
            self._paths = paths
            return False
        if self._paths != paths:
            self.notes.append(f"{self.site.place} has names of two certificates; it uses {self._paths.chain}.")
        return True

    def _listen_on_ipv6(self) -> None:
        port = self.host.ports.http
        listens = [one for one in self.statement.block or () if one.name == "listen" and one.arguments]
        everywhere = [one for one in listens if listen_address(one.arguments[0]) == ("*", port)]
        has_one = any(one.arguments[0].startswith("[") for one in self.site.all("listen"))
        if self.host.has_ipv6 and everywhere and not has_one:
            kept = {"proxy_protocol"} if self.host.has_ipv6_default else {"proxy_protocol", *DEFAULT_FLAGS}
            words = ["listen", f"[::]:{port}", *(flag for flag in everywhere[0].arguments[1:] if flag in kept)]
            self.edits.append(self.source.lines_after(everywhere[0], [f"{' '.join(words)};"]))

    def _replace_pair(self, own: Sequence[Statement], paths: Paths) -> None:
        lines, seen = dict(zip(_PAIR, paths.lines(), strict=False)), set[str]()
        if paths.certificate_key is None:
            # The key stays, so there must be exactly one.
            if sorted(one.name for one in own) != list(_PAIR):
                self.notes.append(f"{self.site.place} needs the key of the CSR. Use there: {paths}")
                return
            own = [one for one in own if one.name == _PAIR[0]]
        for one in own:
            edit = self.source.removed(one) if one.name in seen else self.source.replaced(one, lines[one.name])
            seen.add(one.name)
            self.edits.append(edit)
        self._in_head += [line for name, line in lines.items() if name not in seen]

    def _replace_include(self, paths: Paths) -> None:
        """Replace an include of the pair alone, such as Debian's snakeoil.conf; else say where the pair is."""
        files = {one.file for one in self.site.block.block if one.name in _PAIR and one.file != self.site.block.file}
        is_pair_alone = all(one.name in _PAIR for one in self.site.block.block if one.file in files)
        includes = [
            one
            for one in self.statement.block or ()
            if one.name == "include" and any(file.endswith(f"/{''.join(one.arguments).lstrip('/')}") for file in files)
        ]
        if len(files) == 1 and is_pair_alone and len(includes) == 1 and paths.certificate_key is not None:
            indent = self.source.indent(includes[0])
            self.edits.append(self.source.replaced(includes[0], f"\n{indent}".join(paths.lines())))
        else:
            first = next(one for one in self.site.block.block if one.name in _PAIR and one.file in files)
            self.notes.append(
                f"{self.site.place} takes its certificate from {first.file}:{first.line}. Replace it there with:"
                f" {paths}"
            )

    def _note_files_of_certbot(self) -> None:
        for one in self.statement.block or ():
            if one.name not in _PAIR and any(_CERTBOT in argument for argument in one.arguments):
                place = f"{self.site.block.file}:{line_of(self.source.text, one.start)}"
                self.notes.append(f"{place} reads {one.arguments[0]}. Remove that line before you remove certbot.")

    def _has_locations(self) -> bool:
        return any(map(is_location_of_site, self.site.block.block))

    def _is_guarded(self, first: Directive) -> bool:
        before = self.site.block.block[: self.site.block.block.index(first)]
        return any(one.name == "if" and spares_challenges(one) for one in before)
