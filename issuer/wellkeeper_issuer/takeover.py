"""What of another client's certificates can be taken over, and what cannot and why. Pure: what was found is handed in.

Nothing is issued anew: a certificate and its key go on, and the next renewal is ours.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from wellkeeper_issuer.known_cas import LETS_ENCRYPT, LETS_ENCRYPT_STAGING
from wellkeeper_node import public_keys
from wellkeeper_node.certificates import reading
from wellkeeper_node.model import Certificate, Identifier, KeyType, Pair

# certbot turns the closed first version into the second by itself.
_SUCCESSORS: Final = {
    "https://acme-v01.api.letsencrypt.org/directory": LETS_ENCRYPT,
    "https://acme-staging.api.letsencrypt.org/directory": LETS_ENCRYPT_STAGING,
}
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9._-]+")
_PROOFS: Final = {
    "webroot": "",
    "nginx": "certbot changed nginx for each renewal; from now on include challenge.conf on port 80",
    "standalone": "certbot listened on port 80 itself; from now on nginx has to, with challenge.conf",
    "apache": "its names were served by Apache; from now on they must reach this nginx on port 80",
}

_OTHER_PROOF: Final = "; from now on its names must reach this nginx on port 80, with challenge.conf"


@dataclass(frozen=True, slots=True)
class FoundAccount:
    """An account of theirs; `name` is what their renewals call it."""

    name: str
    directory_url: str
    account_url: str
    account_key_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FoundLineage:
    """A certificate of theirs with what they renew it by; without a pair, `trouble` says why."""

    name: str
    parameters: Mapping[str, str]
    pair: Pair | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """All of theirs; `hooks` are commands and executable files by the names that certbot has for them."""

    lineages: tuple[FoundLineage, ...]
    accounts: tuple[FoundAccount, ...]
    hooks: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """A certificate that becomes ours; `table` is its `[[certificates]]`, but for the CA."""

    name: str
    found_name: str
    identifiers: tuple[Identifier, ...]
    certificate: Certificate
    pair: Pair
    table: Mapping[str, Any]
    directory_url: str
    account_url: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    found_name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Takeover:
    """`accounts` is at most one a CA: the one that most of its certificates were renewed with."""

    taken: tuple[Taken, ...]
    left_out: tuple[LeftOut, ...]
    accounts: tuple[FoundAccount, ...]
    notes: tuple[str, ...]


def take_over(found: Found, ours: Mapping[str, frozenset[Identifier]], now: datetime) -> Takeover:
    """`ours` are the certificates of the settings with their identifiers: what is equal to one of them is that one."""
    names = dict(ours)
    taken, left_out = [], []
    for lineage in found.lineages:
        decided = _decide(lineage, names, found.accounts, now)
        if isinstance(decided, Taken):
            names[decided.name] = frozenset(decided.identifiers)
            taken.append(decided)
        else:
            left_out.append(decided)
    used = [one.account_url for one in taken]
    accounts = _choose(found.accounts, used)
    notes = (*found.notes, *_other_accounts(found.accounts, accounts, used))
    return Takeover(tuple(taken), tuple(left_out), accounts, notes)


def _decide(
    lineage: FoundLineage,
    names: Mapping[str, frozenset[Identifier]],
    accounts: Sequence[FoundAccount],
    now: datetime,
) -> Taken | LeftOut:
    if lineage.pair is None:
        return LeftOut(lineage.name, lineage.trouble)
    certificate = reading.read_certificate(lineage.pair.chain_pem)
    name = _NOT_IN_NAMES.sub("-", lineage.name.lower()).strip(".").replace("..", ".")
    directory_url = _directory(lineage.parameters)
    reason = _reason(certificate, directory_url, now)
    if not reason and names.get(name, certificate.identifiers) != certificate.identifiers:
        reason = f"there is another certificate with the name {name!r}, for other names"
    if reason:
        return LeftOut(lineage.name, reason)
    kind = public_keys.certificate_key_kind(lineage.pair.certificate_key_pem)
    account = _account(lineage.parameters, directory_url, accounts)
    return Taken(
        name=name,
        found_name=lineage.name,
        identifiers=tuple(sorted(certificate.identifiers)),
        certificate=certificate,
        pair=lineage.pair,
        table=_table(lineage.parameters, name, certificate, kind),
        directory_url=directory_url,
        account_url=account.account_url if account else "",
        notes=tuple(_notes(lineage, name, kind, account)),
    )


def _reason(certificate: Certificate, directory_url: str, now: datetime) -> str:
    """Why it is left out; empty when it is not."""
    wildcards = sorted(str(one) for one in certificate.identifiers if one.value.startswith("*"))
    if wildcards:
        names = ", ".join(wildcards)
        return f"it holds {names}, which http-01 cannot prove (RFC 8555 section 8.3); leave it to certbot with dns-01"
    if not certificate.identifiers:
        return "it names neither a DNS name nor an IP address"
    if certificate.not_after <= now:
        at = f"{certificate.not_after:%Y-%m-%d}"
        return f"it expired on {at}; if its names are still yours, add it to the settings and it is obtained anew"
    if not directory_url.startswith("https://"):
        return f"its CA {directory_url!r} is not asked by https"
    return ""


def _table(parameters: Mapping[str, str], name: str, certificate: Certificate, kind: KeyType | None) -> dict[str, Any]:
    table: dict[str, Any] = {"name": name, "identifiers": sorted(str(one) for one in certificate.identifiers)}
    if kind is not None and kind is not KeyType.ECDSA_P256:
        table["key_type"] = kind.value
    profile = parameters.get("required_profile") or parameters.get("preferred_profile")
    if profile:
        table["profile"] = profile
    if _is_on(parameters, "reuse_key"):
        table["reuse_key"] = True
    return table


def _notes(lineage: FoundLineage, name: str, kind: KeyType | None, account: FoundAccount | None) -> Iterable[str]:
    if name != lineage.name:
        yield f"it is called {name} from now on: names here have a-z, 0-9, '.', '_' and '-' only"
    authenticator = lineage.parameters.get("authenticator", "webroot")
    proof = _PROOFS.get(authenticator, f"it was proven by {authenticator}{_OTHER_PROOF}")
    if proof:
        yield proof
    if kind is None:
        yield "its key is of a kind that is not made here; the next one is ecdsa-p256"
    if account is None:
        yield "the account that it was renewed with is not there: the next renewal does not name what it replaces"
    yield from _notes_on(lineage.parameters)


def _notes_on(parameters: Mapping[str, str]) -> Iterable[str]:
    chain = parameters.get("preferred_chain")
    if _is_on(parameters, "must_staple"):
        yield "must-staple is left out of the next one: OCSP has ended at Let's Encrypt, and nginx could not staple"
    if chain:
        yield f"preferred_chain = {chain!r} belongs to a CA here: set it under [[cas]] if you still need it"
    if parameters.get("preferred_profile"):
        yield "its profile was a wish to certbot; here it is an error when the CA does not offer it"
    if parameters.get("autorenew") == "False":
        yield "certbot was told not to renew it (autorenew = False); from now on it is renewed"


def _directory(parameters: Mapping[str, str]) -> str:
    url = parameters.get("server", LETS_ENCRYPT)
    return _SUCCESSORS.get(url, url)


def _account(
    parameters: Mapping[str, str], directory_url: str, accounts: Sequence[FoundAccount]
) -> FoundAccount | None:
    name = parameters.get("account")
    return next((one for one in accounts if one.name == name and one.directory_url == directory_url), None)


def _choose(accounts: Sequence[FoundAccount], used: Sequence[str]) -> tuple[FoundAccount, ...]:
    by_use = sorted(accounts, key=lambda one: used.count(one.account_url))
    best = {one.directory_url: one for one in by_use if one.account_url in used}
    return tuple(best.values())


def _other_accounts(
    accounts: Sequence[FoundAccount], chosen: Sequence[FoundAccount], used: Sequence[str]
) -> Iterable[str]:
    for one in accounts:
        if one in chosen:
            continue
        if one.account_url in used:
            reason = "one a CA is enough, and more certificates have the other"
        else:
            reason = "no certificate that is taken over has it"
        yield f"the account {one.account_url} is left out: {reason}"


def _is_on(parameters: Mapping[str, str], key: str) -> bool:
    return parameters.get(key) == "True"
