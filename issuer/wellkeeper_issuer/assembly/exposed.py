"""Replace the certificates that a node could read: disown them, say what that costs, and revoke the replaced ones."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.authorities import AllAuthorities, open_authorities
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.obtain.limits import Cost, Limits
from wellkeeper_issuer.outside.ca.registered_domains import registered_domain
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.cas import limits
from wellkeeper_node import rights
from wellkeeper_node.certificates import pairs, reading, removal
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.happened import Happened, What, record
from wellkeeper_node.model import Pair

_REASON: Final = "keyCompromise"


@dataclass(frozen=True, slots=True)
class Exposed:
    """A certificate with all versions that have not expired, and the CAs that may have issued them.

    The first one issued the live version.
    """

    lineage: Lineage
    pairs: tuple[Pair, ...]
    directory_urls: tuple[str, ...]


async def find_exposed(settings: Settings, state: State, lineages: Sequence[Lineage]) -> list[Exposed]:
    """Return those of which there is a version of a CA. Raises InstallError and JournalError."""
    found, in_use = [], [url for one in settings.lineages() for url in one.directory_urls]
    declared = [one.directory for one in settings.cas]
    for one in lineages:
        known = await _pairs(settings, one.name)
        origin = await state.deliveries.read_origin(one.name)
        first = [origin.directory_url] if origin and origin.directory_url else []
        urls = tuple(dict.fromkeys([*first, *one.directory_urls, *in_use, *declared]))
        found += [Exposed(one, known, urls)] if known else []
    return found


async def costs(settings: Settings, state: State, lineages: Sequence[Lineage]) -> list[tuple[str, Cost]]:
    """Return what new certificates for these use of the limits of their CAs, each with the CA's name."""
    counted = Limits(state.ledger, SystemClock(), registered_domain)
    by_ca: defaultdict[str, dict[Lineage, bool]] = defaultdict(dict)
    for one in lineages:
        known, url = await state.schedules.read_schedule(one.name), one.directory_urls[0]
        is_same = known is not None and known.directory_url == url and known.identifiers == frozenset(one.identifiers)
        by_ca[url][one] = is_same
    return [
        (settings.find_ca(url).name, cost)
        for url, wanted in by_ca.items()
        for cost in await counted.costs(url, limits(settings, url), wanted)
    ]


async def disown(settings: Settings, exposed: Sequence[Exposed]) -> None:
    """Let no host go back to these versions, nor use their keys again. Idempotent. Raises InstallError."""
    folders = build.certificates(settings)
    for one in exposed:
        await folders.disown_all(one.lineage.name)


async def revoke(settings: Settings, exposed: Sequence[Exposed]) -> Mapping[str, WellkeeperError]:
    """Revoke the versions that were found, and return the first error of each certificate with one that is not."""
    errors: dict[str, WellkeeperError] = {}
    history = build.history(settings.state_dir)
    async with open_authorities(settings) as authorities:
        for one in exposed:
            for pair in one.pairs:
                try:
                    url = await _revoke(authorities, one.directory_urls, pair)
                except WellkeeperError as error:
                    errors.setdefault(one.lineage.name, error)
                else:
                    details = {"serial": reading.read_certificate(pair.chain_pem).serial, "reason": _REASON, "ca": url}
                    await record(history, Happened(What.CERTIFICATE_REVOKED, one.lineage.name, details))
    return errors


async def _revoke(authorities: AllAuthorities, directory_urls: Sequence[str], pair: Pair) -> str:
    """Let the CA that issued it revoke it, and return its URL: the archive does not say, and another one refuses.

    The first is asked with our account, then all with the certificate's own key, which needs no account there (RFC 8555
    section 7.6). Raises OrderError with the reason of each.
    """
    from wellkeeper_issuer.outside.ca.revocation import Reason, revoke

    errors = list[WellkeeperError]()
    for url in (directory_urls[0], *directory_urls):
        try:
            if errors:
                key_pem = pair.certificate_key_pem
                await revoke(authorities.connect(url), pair.chain_pem, Reason[_REASON], key_pem)
            else:
                await revoke(authorities.open(url).connection, pair.chain_pem, Reason[_REASON])
        except WellkeeperError as error:
            errors.append(error)
        else:
            return url
    reasons = dict.fromkeys(f"{one.what}: {one.why}" if one.why else one.what for one in errors)
    raise OrderError("no CA has revoked a version of it", "; ".join(reasons), errors[-1].remedy)


async def _pairs(settings: Settings, name: str) -> tuple[Pair, ...]:
    now, root = SystemClock().now(), settings.certificates_dir
    versions = [
        one.version
        for one in await removal.read_versions(root, name)
        if one.certificate is not None and not one.certificate.is_self_signed and now < one.certificate.not_after
    ]

    def read() -> tuple[Pair, ...]:
        with rights.of_owner(root, lineage=name):
            found = [pairs.salvage_pair(root / "archive" / name / version) for version in versions]
        return tuple(one.pair for one in found if one is not None)

    return await asyncio.to_thread(read)
