"""Check that the challenge location answers for each name at each address of each node, as a CA would ask."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from wellkeeper_issuer.doctor.names import Resolved
from wellkeeper_issuer.obtain.reach import TOKEN
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.model import Answer, Identifier, Node, ReadBack
from wellkeeper_node.ports import Probes
from wellkeeper_node.wording import counted

REACH: Final = "reach"
_AT_ONCE: Final = 16
_LOOPBACK: Final = ("127.0.0.1", "::1")


async def check_reach(
    resolved: Mapping[Identifier, Resolved], nodes: Sequence[Node], probes: Probes, *, is_required: bool = True
) -> Sequence[Finding]:
    """`reach`: for each name, the challenge location answers at every address of every node.

    No responder has the token that it asks for. A name with AAAA records is asked for over IPv6, too. Where read-backs
    are not required, a failure is a warning.
    """
    slots = asyncio.Semaphore(_AT_ONCE)

    async def ask(one: Resolved, node: Node) -> Sequence[ReadBack]:
        answer = Answer(TOKEN, "A" * 43, one.name.identifier)
        asked = _over_ipv6(node) if one.ipv6.addresses else node
        async with slots:
            results = await probes.read_back(asked, answer)
        # A CA that cannot connect over IPv6 uses IPv4; `dns-ipv6` warns of that.
        own = len(node.http_addresses)
        return [*results[:own], *(result for result in results[own:] if result.status is not None)]

    async def check(one: Resolved) -> Finding:
        several = await asyncio.gather(*(ask(one, node) for node in nodes))
        return _about(one.name.identifier, [result for results in several for result in results], is_required)

    return await asyncio.gather(*map(check, resolved.values()))


def _over_ipv6(node: Node) -> Node:
    """Return the node with its addresses on IPv6, where the settings name those on the IPv4 loopback only."""
    return replace(node, http_addresses=_both(node.http_addresses), https_addresses=_both(node.https_addresses))


def _both(addresses: Collection[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    if any(":" in host for host, _ in addresses):
        return tuple(addresses)
    ipv4, ipv6 = _LOOPBACK
    return (*addresses, *((ipv6, port) for host, port in addresses if host == ipv4))


def _about(identifier: Identifier, results: Sequence[ReadBack], is_required: bool) -> Finding:
    subject = identifier.value
    if not results:
        return Finding(REACH, Verdict.SKIPPED, subject, "no node has http_addresses")
    failures = [one for one in results if not one.is_token_unknown]
    if not failures:
        where = ", ".join(dict.fromkeys(one.address for one in results))
        return Finding(REACH, Verdict.OK, subject, f"the challenge location answers at {where}")
    first = failures[0]
    others = f" (and {counted(len(failures) - 1, 'other answer')})" if len(failures) > 1 else ""
    answer = "did not answer" if first.status is None else f"gave HTTP {first.status}"
    cause = f"{first.url} {answer} at {first.address} of node {first.node!r}: {first.cause or _SERVED}{others}"
    verdict = Verdict.FAIL if is_required else Verdict.WARN
    return Finding(REACH, verdict, subject, cause, first.remedy or "Include challenge.conf in its server block.")


_SERVED: Final = "something answers a token that was never published"
