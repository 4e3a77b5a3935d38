"""Check that each CA can be reached, accepts our account and offers what the settings ask for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from wellkeeper_issuer.doctor.caa_records import Issuer
from wellkeeper_issuer.doctor.lists import shortened
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.ports.inspection import Account, CaInspection, Offer
from wellkeeper_node.doctor.of_errors import of_error
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.ports import Clock
from wellkeeper_node.wording import format_exact_time, with_reload

DIRECTORY: Final = "ca-directory"
ACCOUNT: Final = "ca-account"
TERMS: Final = "ca-terms"
CLOCK: Final = "ca-clock"
PROFILE: Final = "ca-profile"

# A responder warns of the same difference; certificates are dated back by an hour.
_WARN_SECONDS: Final = 60.0
_FAIL_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class UsedCa:
    """A CA of the settings, with its default profile."""

    name: str
    directory_url: str
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """The findings about one CA; `issuer` is None when its directory could not be read."""

    findings: Sequence[Finding]
    issuer: Issuer | None = None


async def check_authority(ca: UsedCa, lineages: Sequence[Lineage], inspection: CaInspection, clock: Clock) -> Seen:
    """`ca-directory`, `ca-clock`, `ca-account`, `ca-terms` per CA, and `ca-profile` per certificate of it."""
    try:
        offer = await inspection.offer()
    except WellkeeperError as error:
        return Seen([of_error(DIRECTORY, error, ca.name), *_skipped(ca, lineages)])
    findings = [
        Finding(DIRECTORY, Verdict.OK, ca.name, f"{ca.directory_url} answers"),
        _about_clock(ca.name, offer, clock),
        *_about_profiles(ca, lineages, offer),
    ]
    try:
        account = await inspection.account()
    except WellkeeperError as error:
        unknown = Finding(TERMS, Verdict.SKIPPED, ca.name, "the account could not be read")
        return Seen([*findings, of_error(ACCOUNT, error, ca.name), unknown], Issuer(ca.name, offer.caa_identities, ""))
    findings += [_about_account(ca.name, account), _about_terms(ca.name, account, offer)]
    return Seen(findings, Issuer(ca.name, offer.caa_identities, account.url))


def _skipped(ca: UsedCa, lineages: Sequence[Lineage]) -> Iterator[Finding]:
    for check in (CLOCK, ACCOUNT, TERMS):
        yield Finding(check, Verdict.SKIPPED, ca.name, "its directory could not be read")
    for subject, _ in _using(ca, lineages):
        yield Finding(PROFILE, Verdict.SKIPPED, subject, f"the directory of {ca.name} could not be read")


def _about_clock(subject: str, offer: Offer, clock: Clock) -> Finding:
    ahead = offer.ahead_seconds
    if ahead is None:
        return Finding(CLOCK, Verdict.SKIPPED, subject, "its replies have no date")
    if abs(ahead) <= _WARN_SECONDS:
        return Finding(CLOCK, Verdict.OK, subject, "the clocks of CA and host agree within a minute")
    verdict = Verdict.FAIL if abs(ahead) > _FAIL_SECONDS else Verdict.WARN
    says = format_exact_time(clock.now())
    behind = f"{abs(ahead):.0f} s {'behind' if ahead > 0 else 'ahead of'} the CA's"
    cause = f"this host's clock says {says}; is it right? It is {behind}"
    return Finding(CLOCK, verdict, subject, cause, "Synchronize the clock by NTP: 'timedatectl set-ntp true'.")


def _about_account(subject: str, account: Account) -> Finding:
    if not account.url:
        return Finding(ACCOUNT, Verdict.OK, subject, "no account yet, the first renewal registers it")
    if account.status != "valid":
        cause = f"the account {account.url} is {account.status}"
        return Finding(
            ACCOUNT, Verdict.FAIL, subject, cause, "Ask the CA why; 'wellkeeper account show' shows what it has."
        )
    return Finding(ACCOUNT, Verdict.OK, subject, f"the account {account.url} is valid")


def _about_terms(subject: str, account: Account, offer: Offer) -> Finding:
    terms, agreed = offer.terms_of_service, account.agreed_terms
    if terms and agreed and terms != agreed:
        cause = f"its terms of service changed from {agreed} to {terms}"
        fix = f"Read them, then run 'wellkeeper account update --ca {subject}' to agree."
        return Finding(TERMS, Verdict.WARN, subject, cause, fix)
    return Finding(TERMS, Verdict.OK, subject, f"its terms of service are {terms}" if terms else "it has no terms")


def _about_profiles(ca: UsedCa, lineages: Sequence[Lineage], offer: Offer) -> Iterator[Finding]:
    offered = offer.profiles or {}
    for subject, lineage in _using(ca, lineages):
        wanted = lineage.profile or ca.profile
        if wanted is None:
            yield Finding(PROFILE, Verdict.OK, subject, f"it asks {ca.name} for no profile")
        elif wanted in offered:
            yield Finding(PROFILE, Verdict.OK, subject, f"{ca.name} offers the profile {wanted!r}")
        elif not offered:
            cause, fix = f"{ca.name} has no profiles and ignores profile = {wanted!r}", "Remove profile there."
            yield Finding(PROFILE, Verdict.WARN, subject, cause, with_reload(fix))
        else:
            cause = f"{ca.name} does not offer the profile {wanted!r}, it offers {shortened(map(repr, offered))}"
            fix = with_reload("Set profile to one of those.")
            yield Finding(PROFILE, Verdict.FAIL, subject, cause, fix)


def _using(ca: UsedCa, lineages: Sequence[Lineage]) -> Iterator[tuple[str, Lineage]]:
    """Yield the certificates of this CA, with a subject: one of several CAs is named."""
    for one in lineages:
        if ca.directory_url in one.directory_urls:
            yield one.name if len(one.directory_urls) == 1 else f"{one.name} at {ca.name}", one
