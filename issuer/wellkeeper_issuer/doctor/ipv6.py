"""Check that nginx listens on IPv6 for names with an AAAA record: a CA tries IPv6 first.

Let's Encrypt takes IPv4 when no connection over IPv6 is possible, other CAs (Pebble) fail. Where another server block
answers over IPv6, every CA fails: `wellkeeper_node.nginx.route` finds that.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from wellkeeper_issuer.doctor.names import Resolved
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.model import Identifier
from wellkeeper_node.nginx.configuration import Configuration
from wellkeeper_node.nginx.route.causes import Cause, Causes
from wellkeeper_node.nginx.route.findings import listens
from wellkeeper_node.nginx.route.routes import Router
from wellkeeper_node.nginx.sites import Ports

IPV6: Final = "dns-ipv6"


def check_ipv6(
    resolved: Mapping[Identifier, Resolved], here: Collection[str], configuration: Configuration, ports: Ports
) -> Sequence[Finding]:
    """`dns-ipv6`: nginx listens on IPv6 if a name has an AAAA record of this host."""
    causes = None if listens(configuration, 6, ports.http) else Causes(Router(configuration, ports))

    def missing(one: Resolved) -> Cause | None:
        return causes.missing_listener(one.name.identifier.value, 6) if causes else None

    return [_about(one, here, missing(one), ports.http) for one in resolved.values()]


def _about(one: Resolved, here: Collection[str], missing: Cause | None, port: int) -> Finding:
    subject = one.name.identifier.value
    addresses = [address for address in one.reachable if ":" in address]
    if not addresses:
        return Finding(IPV6, Verdict.OK, subject, "it has no AAAA record, so a CA uses IPv4")
    if not set(here).intersection(addresses):
        return Finding(IPV6, Verdict.SKIPPED, subject, f"{addresses[0]} is not an address of this host")
    if missing is None:
        return Finding(IPV6, Verdict.OK, subject, f"nginx listens on port {port} over IPv6")
    cause = f"{missing.cause}, but it has AAAA {addresses[0]}: Let's Encrypt then uses IPv4, other CAs may fail"
    return Finding(IPV6, Verdict.WARN, subject, cause, missing.fix, missing.place)
