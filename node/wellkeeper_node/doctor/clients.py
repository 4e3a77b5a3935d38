"""Find other ACME clients in nginx's configuration: two clients for one name overwrite each other's work."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from wellkeeper_client import services
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.nginx.configuration import Configuration, Directive
from wellkeeper_node.nginx.servers import CONTEXTS, read_servers
from wellkeeper_node.nginx.sites import Site, matching

ID: Final = "other-clients"
# Parts of the paths in which these clients keep certificates.
_FOLDERS: Final = {
    "/letsencrypt/": "certbot",
    "/.acme.sh/": "acme.sh",
    "/acme.sh/": "acme.sh",
    "/dehydrated/": "dehydrated",
    "/.lego/": "lego",
    "/getssl/": "getssl",
}
# Directives of a server block that make nginx itself obtain its certificate.
_MODULES: Final = {"acme_certificate": "nginx's own ACME module", "acme": "Angie's own ACME module"}
_CERTIFICATE: Final = "ssl_certificate"
# The port of blocks that do not listen with TLS.
_NONE: Final = 0


@dataclass(frozen=True, slots=True)
class _Other:
    """A directive that belongs to another client, in a server block or in what surrounds it."""

    directive: Directive
    block: Directive

    @property
    def is_inherited(self) -> bool:
        return all(one is not self.directive for one in self.block.block)

    @property
    def place(self) -> str:
        """Return the line to change: an inherited certificate also serves other blocks, and stays."""
        line = self.block if self.is_inherited else self.directive
        return f"{line.file}:{line.line}"


class _Group:
    """Server blocks that get the same connections. Found by their words, since a host may have ten thousand."""

    def __init__(self) -> None:
        self._sites: defaultdict[str, list[Site]] = defaultdict(list)

    def add(self, block: Directive, names: Sequence[str]) -> None:
        site = Site(block, tuple(names), is_http=False, is_https=True)
        for word in names:
            self._sites[_key(word)].append(site)

    def answering(self, name: str) -> Sequence[Site]:
        """Return the blocks that nginx chooses for the name by server_name."""
        labels = name.split(".")
        keys = (name, *("." + ".".join(labels[index:]) for index in range(len(labels))), "")
        return matching([site for key in keys for site in self._sites.get(key, ())], name)


async def check_clients(configuration: Configuration, live_paths: Mapping[str, str]) -> list[Finding]:
    """Return `other-clients`: no server block of our names uses certificates of another ACME client.

    `live_paths` are the directories of our certificates by identifier.
    """
    others, groups = _read(configuration)
    found = list[Finding]()
    if others:
        for name, path in live_paths.items():
            for site in (site for group in groups for site in group.answering(name)):
                # One name per block is enough.
                found += [_finding(one, name, path) for one in others.pop(id(site.block), ())]
    if found:
        return found
    return [Finding(ID, Verdict.OK, "", "no server block of these names uses another ACME client")]


def _read(configuration: Configuration) -> tuple[dict[int, Sequence[_Other]], Sequence[_Group]]:
    """Return what belongs to other clients by the id() of its server block, and the blocks by context and port."""
    others = dict[int, Sequence[_Other]]()
    groups = defaultdict[tuple[str, int], _Group](_Group)
    servers = iter(read_servers(configuration))
    for context in (one for one in configuration.directives if one.name in CONTEXTS):
        for block, server in zip((one for one in context.block if one.name == "server"), servers, strict=False):
            ports = {listener.address[1] for listener in server.listeners} or {_NONE}
            for port in ports:
                groups[context.name, port].add(block, server.names)
            if found := list(_others(block, context, is_inheriting=ports != {_NONE})):
                others[id(block)] = found
    return others, tuple(groups.values())


def _others(block: Directive, context: Directive, *, is_inheriting: bool) -> Iterator[_Other]:
    certificates = [one for one in block.block if one.name == _CERTIFICATE]
    if not certificates and is_inheriting:
        certificates = [one for one in context.block if one.name == _CERTIFICATE]
    yield from (_Other(one, block) for one in block.block if one.name in _MODULES)
    yield from (_Other(one, block) for one in certificates if _client(one))


def _finding(one: _Other, name: str, path: str) -> Finding:
    line, used = f"'{_CERTIFICATE} {path}/fullchain.pem;'", one.directive
    if used.name in _MODULES:
        cause = f"{_MODULES[used.name]} obtains a certificate for this name, too"
        fix = f"Remove that line, and write {line} and its key; or remove the name from Wellkeeper."
    else:
        cause = f"nginx uses {used.arguments[0]} of {_client(used)} for this name"
        where = "into this server block" if one.is_inherited else "there"
        fix = f"Write {line} {where}, and the key in the same directory, then {services.clause('reload', 'nginx')}."
    return Finding(ID, Verdict.WARN, name, cause, fix, one.place)


def _key(word: str) -> str:
    """Return the name or the suffix of a word of server_name; "" for other patterns."""
    word = word.lower()
    return "" if word.startswith("~") or word.endswith(".*") else word.removeprefix("*")


def _client(certificate: Directive) -> str:
    path = next(iter(certificate.arguments), "")
    return next((client for part, client in _FOLDERS.items() if part in path), "")
