"""Check that each name has addresses in DNS that a CA can use, and that they lead here.

As Boulder does (bdns/dns.go, va/http.go): it asks for A and AAAA records, leaves out reserved addresses, and tries the
first IPv6 address, then the first IPv4 address, but only if no connection was possible.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from wellkeeper_issuer.doctor.lists import shortened
from wellkeeper_issuer.doctor.names import Resolved
from wellkeeper_issuer.doctor.reserved import is_private, kind_of
from wellkeeper_issuer.obtain.reach import TOKEN
from wellkeeper_issuer.ports.dns import DnsReply, Outcome
from wellkeeper_node.findings import Finding, Verdict, worst
from wellkeeper_node.model import Answer, Identifier, IdentifierType, Node
from wellkeeper_node.ports import Probes

RECORDS: Final = "dns-records"
TARGET: Final = "dns-target"
_AT_ONCE: Final = 8
_HTTP_PORT: Final = 80
_HTTPS_PORT: Final = 443
_SHOWN: Final = 4
_SILENT: Final = "is not an address of this host, and did not answer from here"


def check_records(resolved: Mapping[Identifier, Resolved]) -> Sequence[Finding]:
    """`dns-records`: each name has an A or AAAA record, and not only reserved addresses."""
    return [_about_records(one) for one in resolved.values()]


def _about_records(one: Resolved) -> Finding:
    subject = one.name.identifier.value
    found = [*_missing(one), *_reserved(one)]
    if not found:
        return Finding(RECORDS, Verdict.OK, subject, str(one))
    verdict = worst(found)
    return next(finding for finding in found if finding.verdict is verdict)


def _missing(one: Resolved) -> Iterable[Finding]:
    """Yield what is wrong with the look-ups; a CA does without one of them."""
    subject = one.name.identifier.value
    replies = {"A": one.ipv4, "AAAA": one.ipv6}
    failed = {kind: reply.why for kind, reply in replies.items() if reply.outcome is Outcome.FAILED}
    verdict = Verdict.WARN if one.addresses else Verdict.FAIL
    if failed:
        fix = f"Fix the name servers of its zone, or of this host: 'dig {subject} {next(iter(failed))}' must not fail."
        causes = dict.fromkeys(failed.values())
        yield Finding(RECORDS, verdict, subject, f"no reply about {' and '.join(failed)}: {'; '.join(causes)}", fix)
    elif not one.addresses:
        fix = f"Add an A or AAAA record for {subject} with a public address of this host."
        yield Finding(RECORDS, verdict, subject, _why_none(one.ipv4), fix)


def _why_none(reply: DnsReply) -> str:
    name = f"its CNAME target {reply.target}" if reply.target else "the name"
    if reply.outcome is Outcome.NO_NAME:
        return f"{name} does not exist in DNS (NXDOMAIN)"
    return f"{name} has neither A nor AAAA records"


def _reserved(one: Resolved) -> Iterable[Finding]:
    subject = one.name.identifier.value
    kinds = {address: kind for address in one.addresses if (kind := kind_of(address))}
    if not kinds:
        return
    shown = shortened(f"{address} ({kind})" for address, kind in kinds.items())
    if not one.name.is_public:
        if not all(map(is_private, kinds)):
            cause, fix = f"its addresses are reserved: {shown}", "Check that the CA reaches this host at it."
            yield Finding(RECORDS, Verdict.WARN, subject, cause, fix)
    elif len(kinds) < len(one.addresses):
        cause = f"a CA ignores reserved addresses: {shown}"
        yield Finding(RECORDS, Verdict.WARN, subject, cause, "Remove the reserved addresses from its records.")
    elif one.name.is_proven:
        cause = f"this host's name servers give only reserved addresses: {shown}"
        yield Finding(RECORDS, Verdict.WARN, subject, f"{cause}; a CA has found another one before", _PUBLIC)
    else:
        yield Finding(RECORDS, Verdict.FAIL, subject, f"no public CA can reach it: {shown}", _PUBLIC)


_PUBLIC: Final = "Check that public DNS has a public address of this host in its A or AAAA records."


async def check_target(
    resolved: Mapping[Identifier, Resolved], here: Collection[str], probes: Probes
) -> Sequence[Finding]:
    """`dns-target`: the addresses of each name are those of this host or of a node, or answer as one.

    Behind a NAT or a load balancer that cannot be determined from here: a warning at most. `here` are all addresses of
    this host and of the nodes.
    """
    slots, others = asyncio.Semaphore(_AT_ONCE), _Others(probes)

    async def check(one: Resolved) -> Finding:
        async with slots:
            return await _about_target(one, here, others)

    return await asyncio.gather(*map(check, resolved.values()))


class _Others:
    """Addresses that are not of this host. One that does not answer is asked for one name only."""

    def __init__(self, probes: Probes) -> None:
        self._probes = probes
        self._locks = defaultdict[str, asyncio.Lock](asyncio.Lock)
        self._silent = set[str]()

    async def doubt(self, identifier: Identifier, address: str) -> str:
        """Return why the address may lead elsewhere; "" if the challenge location answers."""
        node = Node("DNS", "", ((address, _HTTP_PORT),), ((address, _HTTPS_PORT),))
        async with self._locks[address]:
            if address in self._silent:
                return _SILENT
            (found,) = await self._probes.read_back(node, Answer(TOKEN, "A" * 43, identifier))
            if found.status is None:
                self._silent.add(address)
                return _SILENT
        return "" if found.is_token_unknown else f"is not an address of this host, and gave HTTP {found.status}"


async def _about_target(one: Resolved, here: Collection[str], unknown: _Others) -> Finding:
    identifier, subject = one.name.identifier, one.name.identifier.value
    if not one.reachable:
        return Finding(TARGET, Verdict.SKIPPED, subject, "it has no address that a CA can use")
    others = [address for address in one.reachable if address not in here]
    if not others:
        return Finding(TARGET, Verdict.OK, subject, f"{shortened(one.reachable)}: an address of this host or of a node")
    doubts = {address: await unknown.doubt(identifier, address) for address in others[:_SHOWN]}
    doubtful = [address for address, words in doubts.items() if words]
    if not doubtful:
        return Finding(TARGET, Verdict.OK, subject, f"the challenge location answers at {shortened(others)}")
    is_one_of_several = len(others) < len(one.reachable)
    where = "only some of its addresses are here, and a CA uses any" if is_one_of_several else "it may lead elsewhere"
    cause = f"{where}: {'; '.join(f'{address} {doubts[address]}' for address in doubtful)}"
    return Finding(TARGET, Verdict.WARN, subject, cause, _fix(identifier, doubtful[0]))


def _fix(identifier: Identifier, address: str) -> str:
    host = f"[{identifier}]" if identifier.type is IdentifierType.IP and ":" in identifier.value else str(identifier)
    return (
        f"Check from another network that {address} leads to this nginx:"
        f" 'curl http://{host}/.well-known/acme-challenge/{TOKEN}' must print 'no such token'."
    )
