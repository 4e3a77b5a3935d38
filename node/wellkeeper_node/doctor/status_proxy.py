"""Check nginx in front of the issuer's status endpoint: who gets an answer, and what its workers may do."""

import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from wellkeeper_client import services
from wellkeeper_node import rights
from wellkeeper_node.doctor import nginx_agent, workers
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.nginx import refusals
from wellkeeper_node.nginx.configuration import Configuration, Directive
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.processes import Ids
from wellkeeper_node.nginx.route.ending import Chain, inherited, value
from wellkeeper_node.nginx.servers import listen_address

PROXY: Final = "status-proxy"
REACH: Final = "status-reach"
_DEFAULT_PORT: Final = 80
# They decide by variables, or by a program.
_MAY_REFUSE: Final = re.compile(r"if|internal|perl|js_access|modsecurity|access_by_lua\w*")
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_WHOLE_INTERNET: Final = frozenset({"0.0.0.0/0", "::/0"})
_INCLUDE: Final = "Include snippets/wellkeeper/status.conf in a server block with ssl"


async def check_proxy(configuration: Configuration, control: Control, address: str, group: str | None) -> list[Finding]:
    """Return `status-proxy` and `status-reach`: each location asks for a password; nginx's workers can do their part.

    `address` is `unix:PATH` or `HOST:PORT`, `group` that of the socket.
    """
    chains = list(_chains(configuration, address))
    if not chains:
        return [_unused(address), Finding(REACH, Verdict.SKIPPED, "", "no location of nginx leads there")]
    return [*map(_judged, chains), *await _reached(chains, configuration, control, address, group)]


def _chains(configuration: Configuration, address: str) -> Iterator[Chain]:
    """Yield the blocks around each `proxy_pass` to the address, the outermost first."""
    servers = {
        one.arguments[0]: [inner.arguments[0] for inner in one.block if inner.name == "server" and inner.arguments]
        for one in configuration.walk()
        if one.name == "upstream" and one.arguments
    }

    def walk(block: Directive, around: tuple[Directive, ...]) -> Iterator[Chain]:
        for one in block.block:
            if one.name == "proxy_pass" and one.arguments and leads(one.arguments[0]):
                yield (*around, block)
            yield from walk(one, (*around, block))

    def leads(url: str) -> bool:
        target = _target(url)
        return any(_is_same(one, address) for one in servers.get(target, [target]))

    for one in configuration.directives:
        if one.name == "http":
            yield from walk(one, ())


def _target(url: str) -> str:
    """Return the `unix:PATH`, `HOST:PORT` or name of an upstream in the URL of a `proxy_pass`."""
    rest = url.partition("://")[2]
    if rest.startswith("unix:"):
        return f"unix:{rest.removeprefix('unix:').partition(':')[0]}"
    return re.split(r"[/?]|(?<!:)\$", rest, maxsplit=1)[0]  # a variable after a colon is the port


def _is_same(target: str, address: str) -> bool:
    if target.startswith("unix:") or address.startswith("unix:"):
        return target == address
    asked, listening = _split(target), _split(address)
    is_any = listening[0] in {"0.0.0.0", "::"}  # noqa: S104 - compared only
    hosts = _LOCAL | {listening[0]} if is_any or listening[0] in _LOCAL else {listening[0]}
    return asked[1] == listening[1] and asked[0] in hosts


def _split(address: str) -> tuple[str | None, int]:
    try:
        found = urlsplit(f"//{address}")
        port = found.port or _DEFAULT_PORT
    except ValueError:  # its port is a variable
        return None, 0
    return found.hostname, port


def _unused(address: str) -> Finding:
    if not address.startswith("unix:"):
        return Finding(PROXY, Verdict.OK, "", f"no location of nginx leads to {address}")
    cause = f"no location of nginx leads to {address}, so no browser can show the page"
    return Finding(PROXY, Verdict.WARN, "", cause, f"{_INCLUDE}, {_reload()}.")


def _judged(chain: Chain) -> Finding:
    place = f"{chain[-1].file}:{chain[-1].line}"
    if not _is_protected(chain):
        if doubt := _doubt(chain):
            cause = f"cannot predict who gets an answer: this location has no password, but '{doubt}'"
            return Finding(
                PROXY, Verdict.WARN, "", cause, "Request it without a password, from another network.", place
            )
        cause = "anyone can read the names and states of all certificates: this location asks for no password"
        fix = f"Add 'auth_basic Wellkeeper;' and 'auth_basic_user_file FILE;' to it, {_reload()}."
        return Finding(PROXY, Verdict.FAIL, "", cause, fix, place)
    if not _asks(chain):
        return Finding(PROXY, Verdict.OK, "", f"{place} answers only some clients")
    if not _has_tls(chain) and not _is_local(chain):
        cause = "the location is in a server block without ssl, so passwords are sent unencrypted"
        return Finding(PROXY, Verdict.WARN, "", cause, f"{_INCLUDE}, not here.", place)
    return Finding(PROXY, Verdict.OK, "", f"{place} asks for a password")


def _is_protected(chain: Chain) -> bool:
    """Return whether not every client gets an answer: nginx asks who it is, or names the clients that do."""
    if _is_local(chain) or value(chain, "ssl_verify_client", "off") == "on":
        return True
    rule = _rule_for_everyone(chain)
    if rule == "allow" and value(chain, "satisfy", "all") == "any":
        return False  # without a password
    return rule == "deny" or _asks(chain)


def _is_local(chain: Chain) -> bool:
    """Return whether only this host connects; by the PROXY protocol, a proxy here connects for others."""
    server = next(one for one in chain if one.name == "server")
    has_proxy = any(one.name == "listen" and "proxy_protocol" in one.arguments for one in server.block)
    return _hosts(chain) <= _LOCAL and not has_proxy


def _asks(chain: Chain) -> bool:
    """Return whether a client must have a password, a token or another server's consent."""
    return any(value(chain, name, "off") != "off" for name in _asking(chain))


def _rule_for_everyone(chain: Chain) -> str:
    """Return the name of the first `allow` or `deny` that fits everyone, where nginx stops; "" without one."""
    rules: Sequence[Directive] = next((inner for block in reversed(chain) if (inner := _rules(block))), ())
    for one in rules:
        if one.arguments == ("all",) or (one.name == "allow" and _WHOLE_INTERNET.issuperset(one.arguments)):
            return one.name
    return ""


def _doubt(chain: Chain) -> str:
    """Return the directive that may keep strangers out; "" without one."""
    found = (one for block in chain for one in block.block if _MAY_REFUSE.fullmatch(one.name))
    private = (f"listen {host}" for host in _hosts(chain) if all(map(_is_private, _hosts(chain))))
    return next((one.name for one in found), "") or next(private, "")


def _hosts(chain: Chain) -> frozenset[str]:
    """Return where the server block listens; without `listen`, everywhere."""
    server = next(one for one in chain if one.name == "server")
    listens = [one.arguments[0] for one in server.block if one.name == "listen" and one.arguments]
    return frozenset(_host(one) for one in listens) or frozenset({"*"})


def _host(argument: str) -> str:
    host, _ = listen_address(argument)
    return "localhost" if host.startswith("unix:") else host


def _is_private(host: str) -> bool:
    try:
        ip = ip_address(host)
    except ValueError:
        return False
    return ip.is_private and not ip.is_unspecified


def _rules(block: Directive) -> Sequence[Directive]:
    return [one for one in block.block if one.name in {"allow", "deny"}]


def _asking(chain: Chain) -> Iterator[str]:
    """Yield the directives in effect that ask for a password, a token or another server's opinion."""
    names = {one.name for block in chain for one in block.block}
    if inherited(chain, "auth_basic_user_file"):
        yield "auth_basic"
    yield from names & {"auth_request", "auth_jwt", "auth_oidc", "auth_pam", "auth_ldap"}


def _has_tls(chain: Chain) -> bool:
    server = next(one for one in chain if one.name == "server")
    listens = [one.arguments for one in server.block if one.name == "listen"]
    return value(chain, "ssl") == "on" or any({"ssl", "quic"} & set(one) for one in listens)


async def _reached(
    chains: Sequence[Chain], configuration: Configuration, control: Control, address: str, group: str | None
) -> list[Finding]:
    if control.agent is not None:
        return nginx_agent.not_seen(REACH)
    ids = workers.find_ids(control)
    if isinstance(ids, str):
        return [Finding(REACH, Verdict.SKIPPED, "", ids)]
    files = {
        str(configuration.path(one.arguments[0]))
        for chain in chains
        for one in inherited(chain, "auth_basic_user_file")
        if one.arguments and "$" not in one.arguments[0]
    }
    unread = await workers.attempt(ids, "read", sorted(files))
    failed = [_unread(ids, path, words) for path, words in unread.items() if words]
    words = (await workers.attempt(ids, "connect", [address]))[address]
    failed += [_unreached(ids, address, words, group)] if words else []
    user = rights.user_name(ids.user)
    return failed or [Finding(REACH, Verdict.OK, "", f"nginx's workers ({user}) can connect to {address}")]


def _unread(ids: Ids, path: str, words: str) -> Finding:
    user = rights.user_name(ids.user)
    cause = f"nginx refuses every password: its workers ({user}) cannot read {path}: {words}"
    made = f"Run 'htpasswd -cB {path} NAME'."
    mine = f"Run 'chgrp {refusals.group_name(ids)} {path}' and 'chmod 640 {path}'."
    return Finding(REACH, Verdict.FAIL, path, cause, mine if words == workers.REFUSED else made)


def _unreached(ids: Ids, address: str, words: str, group: str | None) -> Finding:
    user, wanted = rights.user_name(ids.user), refusals.group_name(ids)
    if words != workers.REFUSED:
        fix = services.sentence("restart", "wellkeeper")
    elif barred := workers.barred_folder(ids, address):
        fix = f"Run 'chmod o+x {barred}': {user} may not enter it."
    elif group == wanted:
        fix = "Run 'wellkeeper reload'."
    else:
        fix = f"Set group = '{wanted}' under [web], then run 'wellkeeper reload'."
    return Finding(REACH, Verdict.FAIL, "", f"nginx's workers ({user}) cannot connect to {address}: {words}", fix)


def _reload() -> str:
    return f"then {services.clause('reload', 'nginx')}"
