"""Check that CAA records allow our CAs and accounts: the tree is climbed from each name (RFC 8659 section 3)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from wellkeeper_issuer.doctor.caa_records import Issuer, Refusal, refusal
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.ports.dns import CaaRecord, Dns, Outcome, RecordType
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.model import Identifier, IdentifierType

CAA: Final = "caa"


@dataclass(frozen=True, slots=True)
class _Found:
    """The records that count for a name, at the name `at`; `why` says why they are unknown."""

    at: str = ""
    records: tuple[CaaRecord, ...] = ()
    why: str = ""


async def check_caa(lineages: Sequence[Lineage], issuers: Mapping[str, Issuer], dns: Dns) -> Sequence[Finding]:
    """`caa`: the CAs of each name may issue for it. `issuers` are those that are known, by directory URL."""
    cas = dict[Identifier, dict[str, None]]()
    for lineage in lineages:
        for identifier in lineage.identifiers:
            if identifier.type is IdentifierType.DNS:
                cas.setdefault(identifier, {}).update(dict.fromkeys(lineage.directory_urls))
    return await asyncio.gather(*(_check(one.value, list(urls), issuers, dns) for one, urls in cas.items()))


async def _check(name: str, urls: Sequence[str], issuers: Mapping[str, Issuer], dns: Dns) -> Finding:
    found = await _climb(name, dns)
    known = [issuers[url] for url in urls if url in issuers]
    if found.why:
        # An internal CA that publishes no name for CAA records does not ask for them.
        verdict = Verdict.FAIL if not known or any(one.identities for one in known) else Verdict.WARN
        cause = f"the lookup of CAA records fails, so a CA refuses the order: {found.why}"
        return Finding(CAA, verdict, name, cause, f"Fix the zone's name servers: 'dig {found.at} CAA' must not fail.")
    if not found.records:
        return Finding(CAA, Verdict.OK, name, "no CAA records, so every CA may issue")
    if not known:
        return Finding(CAA, Verdict.SKIPPED, name, "the directories of its CAs could not be read")
    return _judge(name, found, known)


async def _climb(name: str, dns: Dns) -> _Found:
    """Return the records of the name or of the nearest parent with any; CNAMEs are followed, but not climbed."""
    labels = name.split(".")
    for count in range(len(labels)):
        at = ".".join(labels[count:])
        reply = await dns.ask(at, RecordType.CAA)
        if reply.outcome is Outcome.FAILED:
            return _Found(at, why=reply.why)
        if reply.caa:
            return _Found(at, reply.caa)
    return _Found()


def _judge(name: str, found: _Found, issuers: Sequence[Issuer]) -> Finding:
    """Return the finding about all CAs of a name: one that is allowed is enough for a certificate."""
    unnamed = [one.name for one in issuers if not one.identities]
    refusals = {one.name: no for one in issuers if one.identities and (no := refusal(found.records, one))}
    allowed = [one.name for one in issuers if one.name not in refusals and one.name not in unnamed]
    if refusals:
        cause = "; ".join(dict.fromkeys(f"{no.cause} (at {found.at})" for no in refusals.values()))
        verdict = Verdict.WARN if allowed or unnamed else Verdict.FAIL
        return Finding(CAA, verdict, name, cause, _fix(found.at, next(iter(refusals.values()))))
    if unnamed and any(record.tag == "issue" for record in found.records):
        cause = f"{found.at} has CAA records, and {', '.join(unnamed)} does not publish its name for them"
        return Finding(CAA, Verdict.WARN, name, cause, "Compare the records with what the CA documents.")
    return Finding(CAA, Verdict.OK, name, f"the CAA records at {found.at} allow {', '.join(allowed or unnamed)}")


def _fix(at: str, one: Refusal) -> str:
    if not one.value:
        return f"Remove or correct the CAA record at {at}."
    return f"Add or change this DNS record: '{at}. CAA 0 issue \"{one.value}\"'."
