"""Decide which certificates and accounts of another client can be imported, and why others cannot. Pure functions.

Nothing is reissued: certificate and key stay in use until the next renewal, which is ours.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from wellkeeper_issuer.known_cas import LETS_ENCRYPT, LETS_ENCRYPT_STAGING, is_of_test_ca
from wellkeeper_node import public_keys
from wellkeeper_node.certificates import reading
from wellkeeper_node.model import Certificate, Identifier, KeyType, Pair, shortened_name

# certbot replaces the closed ACMEv1 directories itself, too.
_SUCCESSORS: Final = {
    "https://acme-v01.api.letsencrypt.org/directory": LETS_ENCRYPT,
    "https://acme-staging.api.letsencrypt.org/directory": LETS_ENCRYPT_STAGING,
}
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9._-]+")
_PROOFS: Final = {
    "webroot": "",
    "nginx": "{} changed nginx for each renewal; now include challenge.conf on port 80",
    "standalone": "{} listened on port 80 itself; now nginx must, with challenge.conf",
    "apache": "Apache served its names; now they must reach this nginx on port 80",
}

_OTHER_PROOF: Final = "; now its names must reach this nginx on port 80, with challenge.conf"


@dataclass(frozen=True, slots=True)
class FoundAccount:
    """An account of the other client; `name` is what its renewal settings call it."""

    name: str
    directory_url: str
    account_url: str
    account_key_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Access:
    """The owner and group of a key, by their numeric ids, and its mode."""

    owner: int
    group: int
    mode: int


_ROOT_ONLY: Final = Access(0, 0, 0o600)


@dataclass(frozen=True, slots=True)
class FoundLineage:
    """A certificate of the other client with its renewal parameters; without a pair, `trouble` says why.

    `access` is that of the key. `paths` are those that nginx may name, each with what replaces it below `live/NAME/`.
    """

    name: str
    parameters: Mapping[str, str]
    pair: Pair | None
    trouble: str = ""
    access: Access = _ROOT_ONLY
    paths: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """Everything found of the other `client`; `hooks` are (event, command) pairs."""

    lineages: tuple[FoundLineage, ...]
    accounts: tuple[FoundAccount, ...]
    hooks: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    client: str = "certbot"


@dataclass(frozen=True, slots=True)
class Taken:
    """A certificate to import; `table` is its `[[certificates]]` without the CA."""

    name: str
    found_name: str
    identifiers: tuple[Identifier, ...]
    certificate: Certificate
    pair: Pair
    table: Mapping[str, Any]
    directory_url: str
    account_url: str
    notes: tuple[str, ...]
    access: Access = _ROOT_ONLY
    paths: tuple[tuple[str, str], ...] = ()

    @property
    def is_test(self) -> bool:
        """Return true if a staging CA issued it, which browsers do not trust."""
        return is_of_test_ca(self.directory_url, self.certificate.issued_by)


@dataclass(frozen=True, slots=True)
class LeftOut:
    found_name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Takeover:
    """The decision. `accounts` has at most one per CA: the one that renewed most of its certificates."""

    taken: tuple[Taken, ...]
    left_out: tuple[LeftOut, ...]
    accounts: tuple[FoundAccount, ...]
    notes: tuple[str, ...]


def take_over(found: Found, ours: Mapping[str, frozenset[Identifier]], now: datetime) -> Takeover:
    """Decide what to import. `ours` maps configured certificates to identifiers; an equal one found is the same."""
    names = dict(ours)
    taken, left_out = [], []
    for lineage in found.lineages:
        decided = _decide(lineage, names, found, now)
        if isinstance(decided, Taken):
            names[decided.name] = frozenset(decided.identifiers)
            taken.append(decided)
        else:
            left_out.append(decided)
    used = [certificate.account_url for certificate in taken]
    accounts = _choose(found.accounts, used)
    notes = (*found.notes, *_other_accounts(found.accounts, accounts, used))
    return Takeover(tuple(taken), tuple(left_out), accounts, notes)


def _decide(
    lineage: FoundLineage,
    names: Mapping[str, frozenset[Identifier]],
    found: Found,
    now: datetime,
) -> Taken | LeftOut:
    if lineage.pair is None:
        return LeftOut(lineage.name, lineage.trouble)
    certificate = reading.read_certificate(lineage.pair.chain_pem)
    name = shortened_name(_NOT_IN_NAMES.sub("-", lineage.name.lower()).strip(".").replace("..", "."))
    directory_url = _directory(lineage.parameters)
    reason = _reason(certificate, directory_url, found.client, now)
    if not reason and names.get(name, certificate.identifiers) != certificate.identifiers:
        reason = f"another certificate named {name!r} exists, for other names"
    if reason:
        return LeftOut(lineage.name, reason)
    kind = public_keys.certificate_key_kind(lineage.pair.certificate_key_pem)
    account = _account(lineage.parameters, directory_url, found.accounts)
    return Taken(
        name=name,
        found_name=lineage.name,
        identifiers=tuple(sorted(certificate.identifiers)),
        certificate=certificate,
        pair=lineage.pair,
        table=_table(lineage.parameters, name, certificate, kind),
        directory_url=directory_url,
        account_url=account.account_url if account else "",
        notes=tuple(_notes(lineage, name, kind, account, certificate, found.client)),
        access=lineage.access,
        paths=lineage.paths,
    )


def _reason(certificate: Certificate, directory_url: str, client: str, now: datetime) -> str:
    """Return why the certificate cannot be imported; "" when it can."""
    wildcards = sorted(str(one) for one in certificate.identifiers if one.value.startswith("*"))
    if wildcards:
        names = ", ".join(wildcards)
        return (
            f"http-01 cannot validate {names} (RFC 8555 section 8.3); keep renewing it with {client} and dns-01, and"
            " let its deploy hook run 'wellkeeper deliver'"
        )
    if not certificate.identifiers:
        return "it has neither DNS names nor IP addresses"
    if certificate.not_after <= now:
        at = f"{certificate.not_after:%Y-%m-%d}"
        return f"it expired on {at}; to obtain a new one, run 'wellkeeper certificate add'"
    if not directory_url.startswith("https://"):
        return f"the URL of its CA, {directory_url!r}, is not https"
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


def _notes(  # noqa: PLR0913, PLR0917 - all that may differ
    lineage: FoundLineage,
    name: str,
    kind: KeyType | None,
    account: FoundAccount | None,
    certificate: Certificate,
    client: str,
) -> Iterable[str]:
    if is_of_test_ca(_directory(lineage.parameters), certificate.issued_by):
        yield "it is a test certificate of a staging CA, which browsers do not trust; set another ca to replace it"
    if name != lineage.name:
        yield f"its new name is {name}: names may contain only a-z, 0-9, '.', '_' and '-'"
    authenticator = lineage.parameters.get("authenticator", "webroot")
    proof = _PROOFS.get(authenticator, f"{{}} used the authenticator {authenticator}{_OTHER_PROOF}")
    if proof:
        yield proof.format(client)
    if kind is None:
        yield "its key type is not supported; the next key will be ecdsa-p256"
    if account is None:
        yield "its account was not found, so the next renewal cannot name the certificate that it replaces"
    if lineage.access.mode & 0o007:
        yield f"its key was readable by all users (mode {lineage.access.mode:04o}); here it is 0640"
    yield from _notes_on(lineage.parameters)


def _notes_on(parameters: Mapping[str, str]) -> Iterable[str]:
    chain = parameters.get("preferred_chain")
    if _is_on(parameters, "must_staple"):
        yield "the next certificate will not have must-staple: Let's Encrypt ended OCSP, so nginx could not staple"
    if chain:
        yield f"preferred_chain = {chain!r} is not imported: set it under [[cas]] if you still need it"
    if parameters.get("preferred_profile"):
        yield "its profile is now required: renewals fail if the CA does not offer it"
    if parameters.get("autorenew") == "False":
        yield "certbot did not renew it (autorenew = False); Wellkeeper will"


def _directory(parameters: Mapping[str, str]) -> str:
    url = parameters.get("server", LETS_ENCRYPT)
    return _SUCCESSORS.get(url, url)


def _account(
    parameters: Mapping[str, str], directory_url: str, accounts: Sequence[FoundAccount]
) -> FoundAccount | None:
    name = parameters.get("account")
    return next((found for found in accounts if found.name == name and found.directory_url == directory_url), None)


def _choose(accounts: Sequence[FoundAccount], used: Sequence[str]) -> tuple[FoundAccount, ...]:
    by_use = sorted(accounts, key=lambda account: used.count(account.account_url))
    best = {account.directory_url: account for account in by_use if account.account_url in used}
    return tuple(best.values())


def _other_accounts(
    accounts: Sequence[FoundAccount], chosen: Sequence[FoundAccount], used: Sequence[str]
) -> Iterable[str]:
    for account in accounts:
        if account in chosen:
            continue
        if account.account_url in used:
            reason = "another account of this CA has more certificates"
        else:
            reason = "no imported certificate uses it"
        yield f"the account {account.account_url} was not imported: {reason}"


def _is_on(parameters: Mapping[str, str], key: str) -> bool:
    return parameters.get(key) == "True"
