"""Findings on the routes of challenges: the checks `challenge-route` and `challenge-route-ipv6` of doctor."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.model import Identifier, IdentifierType
from wellkeeper_node.nginx.configuration import Configuration
from wellkeeper_node.nginx.route.causes import Cause, Causes
from wellkeeper_node.nginx.route.ending import Outcome
from wellkeeper_node.nginx.route.entrances import WILDCARDS, Entrances
from wellkeeper_node.nginx.route.routes import Route, Router
from wellkeeper_node.nginx.route.words import REHEARSE
from wellkeeper_node.nginx.sites import Ports

CHECKS: Final[Mapping[int, str]] = {4: "challenge-route", 6: "challenge-route-ipv6"}

# The addresses of each name in DNS.
Addresses = Mapping[str, Collection[str]]


async def check_routes(
    configuration: Configuration,
    identifiers: Collection[Identifier],
    ports: Ports | None = None,
    addresses: Addresses | None = None,
    *,
    speaks_proxy_protocol: bool | None = None,
) -> Sequence[Finding]:
    """`challenge-route`, `challenge-route-ipv6`: predict from `nginx -T` what answers challenges on port 80.

    One finding per identifier and family. Without `addresses`, each name may have an AAAA record or not, so that IPv6
    gives a warning at most. `speaks_proxy_protocol` is the node's setting.
    """
    if configuration.errors:
        cause = f"cannot parse all of nginx's configuration: {configuration.errors[0]}"
        return [Finding(CHECKS[4], Verdict.WARN, "", cause, REHEARSE)]
    router = Router(configuration, ports or Ports(), speaks_proxy_protocol)
    return await asyncio.to_thread(lambda: list(_findings(router, identifiers, addresses)))


def listens(configuration: Configuration, family: int, port: int = 80) -> bool:
    """Return whether a server block of http accepts connections of the family, 4 or 6, on the port."""
    return bool(Entrances(configuration).on(port, family))


def _findings(router: Router, identifiers: Collection[Identifier], addresses: Addresses | None) -> Iterator[Finding]:
    causes = Causes(router)
    for identifier in identifiers:
        known = [identifier.value] if identifier.type is IdentifierType.IP else _known(addresses, identifier)
        for family in CHECKS:
            own = None if known is None else [one for one in known if _family(one) == family]
            if own is None or own:
                yield _Judge(router, causes, identifier, family, own).finding()


def _known(addresses: Addresses | None, identifier: Identifier) -> Collection[str] | None:
    return None if addresses is None else addresses.get(identifier.value)


class _Judge:
    """Judges the routes of one identifier over one family; `addresses` are those in DNS, None if unknown."""

    def __init__(
        self, router: Router, causes: Causes, identifier: Identifier, family: int, addresses: Sequence[str] | None
    ) -> None:
        self._router = router
        self._causes = causes
        self._identifier = identifier
        self._family = family
        self._addresses = addresses

    def finding(self) -> Finding:
        routes = self._routes()
        good = [one for one in routes if one.is_good]
        # Of several, the one in a block with the name explains most.
        bad = sorted((one for one in routes if not one.is_good), key=lambda one: (not one.is_named, one.host))
        if not routes:
            return self._unheard()
        if good and (not bad or self._is_chosen(good)):
            return self._of(Verdict.OK, Cause(f"{self._over}: {_answered(good[0])}", "", ""))
        cause = self._causes.of(bad[0])
        host = "other addresses" if bad[0].host in WILDCARDS.values() else bad[0].host
        at = f"{self._over}, at {host}" if good else self._over
        return self._of(self._verdict(good, bad), cause._replace(cause=f"{at}: {cause.cause}"))

    def _routes(self) -> Sequence[Route]:
        """Return the routes by the addresses in DNS, or by all where those are not on this host (NAT)."""
        entrances = [self._router.entrances.at(one, self._router.ports.http) for one in self._addresses or ()]
        hosts = dict.fromkeys(one.host for one in entrances if one)
        if hosts and self._identifier.type is IdentifierType.DNS:
            return [self._router.route(self._identifier, host) for host in hosts]
        return self._router.routes(self._identifier, self._family)

    def _is_chosen(self, good: Sequence[Route]) -> bool:
        """Return whether a block answers at an address of its own, to which DNS probably leads."""
        return self._addresses is None and any(one.host not in WILDCARDS.values() for one in good)

    def _verdict(self, good: Sequence[Route], bad: Sequence[Route]) -> Verdict:
        is_unknown = any(one.outcome is Outcome.UNKNOWN for one in bad)
        is_only_likely = self._addresses is None and (bool(good) or self._family == 6)
        return Verdict.WARN if is_unknown or is_only_likely else Verdict.FAIL

    def _unheard(self) -> Finding:
        """Return the finding where nothing listens; over IPv6 the CA then connects over IPv4."""
        name = self._identifier.value
        others = self._router.entrances.on(self._router.ports.http, 10 - self._family)
        if others and self._identifier.type is IdentifierType.DNS:
            cause = f"nothing listens on port {self._router.ports.http} {self._over}"
            return Finding(CHECKS[self._family], Verdict.SKIPPED, name, cause)
        return self._of(Verdict.FAIL, self._causes.missing_listener(name, self._family))

    @property
    def _over(self) -> str:
        return f"over IPv{self._family}"

    def _of(self, verdict: Verdict, cause: Cause) -> Finding:
        return Finding(CHECKS[self._family], verdict, self._identifier.value, cause.cause, cause.fix, cause.place)


def _answered(route: Route) -> str:
    where = f"{route.site.place} answers" if route.site else "it answers"
    return f"{where}, after a redirect to {route.url.partition('/.')[0]}" if route.redirects else where


def _family(address: str) -> int:
    return 6 if ":" in address else 4
