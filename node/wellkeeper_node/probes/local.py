"""Probes of this host's nginx that know more than its answers: the addresses of names in DNS, and its configuration."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final, Protocol

from wellkeeper_node.model import Answer, Certificate, Identifier, IdentifierType, KeyAlgorithm, Node, ReadBack
from wellkeeper_node.ports import Clock, Probes

# Return the addresses of a name. Raises OSError.
Resolve = Callable[[str], Awaitable[Sequence[str]]]

_RESOLVE_SECONDS: Final = 1.0
# The read-back follows the look before an order; and while DNS does not answer, read-backs do not wait for it again.
_PAUSE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Names:
    """`resolve` returns the addresses of a name, and may take `seconds`; `is_here` says whether one is of this host."""

    resolve: Resolve
    is_here: Callable[[str], bool]
    seconds: float = _RESOLVE_SECONDS


class Explains(Protocol):
    """Finds the causes of failed read-backs."""

    async def explain(self, node: Node, answer: Answer, results: Sequence[ReadBack]) -> tuple[ReadBack, ...]:
        """Return one result per HTTP address of the node, in order, with better causes where there are any."""
        ...


class LocalProbes:
    """Implements `ports.Probes`. For the node `local`, a read-back also asks the addresses of this host in DNS.

    It does so over a family that the node's addresses lack: CAs try IPv6 first. None where no node is this host.
    """

    def __init__(self, probes: Probes, local: str | None, names: Names, causes: Explains, clock: Clock) -> None:
        self._probes = probes
        self._local = local
        self._names = names
        self._causes = causes
        self._clock = clock
        self._resolves_at = 0.0
        self._known: dict[str, tuple[Sequence[str], float]] = {}

    async def read_back(self, node: Node, answer: Answer) -> tuple[ReadBack, ...]:
        """Implement `ports.Probes.read_back`; results of further addresses follow those of the node."""
        if node.name != self._local or not node.http_addresses:
            return await self._probes.read_back(node, answer)
        results, addresses = await asyncio.gather(
            self._probes.read_back(node, answer), self._addresses(answer.identifier)
        )
        results = await self._causes.explain(node, answer, results)
        if further := self._further(node, addresses):
            results += await self._read_further(replace(node, http_addresses=further), answer)
        return tuple(_with_addresses(one, answer.identifier, addresses) for one in results)

    async def handshake(
        self,
        address: tuple[str, int],
        identifier: Identifier,
        key_algorithm: KeyAlgorithm | None = None,
        speaks_proxy_protocol: bool | None = None,
    ) -> Certificate | None:
        """Implement `ports.Probes.handshake`."""
        return await self._probes.handshake(address, identifier, key_algorithm, speaks_proxy_protocol)

    async def _read_further(self, node: Node, answer: Answer) -> tuple[ReadBack, ...]:
        results = await self._probes.read_back(node, answer)
        # A CA that cannot connect there tries another address.
        answered = [one for one in results if one.status is not None or one.is_elsewhere]
        return await self._causes.explain(node, answer, results) if answered else ()

    async def _addresses(self, identifier: Identifier) -> Sequence[str]:
        """Return the addresses of a name in DNS, empty if they are not known in time; remembered for a minute."""
        now, name = self._clock.monotonic(), identifier.value
        known, until = self._known.get(name, ((), 0.0))
        if now < until or now < self._resolves_at or identifier.type is not IdentifierType.DNS:
            return known
        try:
            async with asyncio.timeout(self._names.seconds):
                known = tuple(dict.fromkeys(await self._names.resolve(name)))
        except TimeoutError:
            self._resolves_at = now + _PAUSE_SECONDS
        except OSError:
            known = ()
        self._known[name] = known, now + _PAUSE_SECONDS
        return known

    def _further(self, node: Node, addresses: Sequence[str]) -> tuple[tuple[str, int], ...]:
        """Return the first address of this host in a family that the settings lack; the CA takes any of a family."""
        families = {":" in host for host, _ in node.http_addresses}
        port = node.http_addresses[0][1]
        own = [one for one in addresses if (":" in one) not in families and not ip_address(one).is_loopback]
        return tuple((one, port) for one in own if self._names.is_here(one))[:1]


def _with_addresses(result: ReadBack, identifier: Identifier, addresses: Sequence[str]) -> ReadBack:
    """Return a failed read-back with the addresses of the name, so that a wrong record is visible."""
    if result.cause is None or not addresses:
        return result
    return replace(result, cause=f"{result.cause} ({identifier} has the addresses {', '.join(addresses)})")
