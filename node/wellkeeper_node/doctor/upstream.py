"""Check that nginx asks this node's responder, and no other machine, for what the CA fetches."""

from collections.abc import Collection, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from wellkeeper_client import services
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.nginx.configuration import Configuration, Directive
from wellkeeper_node.nginx.sites import UPSTREAM

ID: Final = "upstream"
_DEFAULT_PORT: Final = 80
# Where a responder that listens at all addresses can be asked on its host.
_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - the responder listens there


async def check_upstream(configuration: Configuration, public: Collection[str], own: Collection[str]) -> list[Finding]:
    """Return `upstream`: it is defined, and has one server, which is the responder.

    `public` are the public addresses of this node's responder, none if they are unknown; `own` are the IP addresses of
    this host. nginx itself refuses a second upstream of this name.
    """
    http = next((one for one in configuration.directives if one.name == "http"), None)
    if http is None:
        return [Finding(ID, Verdict.SKIPPED, "", "nginx's configuration has no http block")]
    found = next((one for one in http.block if one.name == "upstream" and UPSTREAM in one.arguments), None)
    if found is None:
        cause = f"no upstream {UPSTREAM} is defined"
        fix = f"Add 'include snippets/wellkeeper/upstream.conf;' to the http block, {_reload()}."
        return [Finding(ID, Verdict.FAIL, "", cause, fix, _place(http))]
    servers = list(_servers(found))
    if len(servers) != 1:
        cause = f"the upstream {UPSTREAM} has {len(servers)} servers: another machine could decide what the CA gets"
        fix = f"Keep one 'server' line there, the responder of this node, {_reload()}."
        return [Finding(ID, Verdict.FAIL, "", cause, fix, _place(servers[-1] if servers else found))]
    return [_compared(servers[0], public, own)]


def server_addresses(configuration: Configuration) -> Mapping[str, str]:
    """Return the addresses of the upstream's servers, `unix:PATH` or `HOST:PORT`, with their places."""
    http = [inner for one in configuration.directives if one.name == "http" for inner in one.block]
    found = [one for one in http if one.name == "upstream" and UPSTREAM in one.arguments]
    return {_address(server): _place(server) for one in found for server in _servers(one)}


def _servers(upstream: Directive) -> Iterator[Directive]:
    yield from (one for one in upstream.block if one.name == "server" and one.arguments)


def _compared(server: Directive, public: Collection[str], own: Collection[str]) -> Finding:
    address = _address(server)
    if not public:
        return _unknown(server, address, own)
    if any(_is_same(address, one, own) for one in public):
        return Finding(ID, Verdict.OK, "", f"{_place(server)} names the responder ({address})")
    wanted = ", ".join(sorted(public))
    cause = f"nginx asks {address}, but the responder of this node listens at {wanted}"
    host, _, port = min(public).rpartition(":")
    fix = f"Write 'server {_WILDCARDS.get(host, host)}:{port} max_fails=0;' there, {_reload()}."
    return Finding(ID, Verdict.FAIL, "", cause, fix, _place(server))


def _unknown(server: Directive, address: str, own: Collection[str]) -> Finding:
    """Return the finding where the addresses of the responder are unknown, because it did not answer, for example."""
    if address.startswith("unix:") or _is_here(address, own):
        return Finding(ID, Verdict.OK, "", f"{_place(server)} names {address}")
    reason = f"{_place(server)} names {address}; where the responder of this node listens is unknown"
    return Finding(ID, Verdict.SKIPPED, "", reason)


def _address(server: Directive) -> str:
    argument = server.arguments[0]
    has_port = ":" in argument.rpartition("]")[2]
    return argument if has_port or argument.startswith("unix:") else f"{argument}:{_DEFAULT_PORT}"


def _reload() -> str:
    return f"then {services.clause('reload', 'nginx')}"


def _is_same(asked: str, listening: str, own: Collection[str]) -> bool:
    """Return whether the two lead to the same socket, whatever the path is called."""
    if asked == listening:
        return True
    if asked.startswith("unix:") and listening.startswith("unix:"):
        try:
            return Path(asked.removeprefix("unix:")).samefile(listening.removeprefix("unix:"))
        except OSError:
            return False
    host, _, port = listening.rpartition(":")
    return host in _WILDCARDS and asked.rpartition(":")[2] == port and _is_here(asked, own)


def _is_here(address: str, own: Collection[str]) -> bool:
    """Return whether HOST:PORT is an address of this host; other host names than localhost are not looked up."""
    host = address.rpartition(":")[0]
    try:
        ip = ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return host == "localhost"
    return ip.is_loopback or ip.is_unspecified or str(ip) in own


def _place(directive: Directive) -> str:
    return f"{directive.file}:{directive.line}"
