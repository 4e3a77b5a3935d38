"""Check each installed certificate, and what nginx serves of it, at every address that has it."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.model import Lineage
from wellkeeper_node.deliver.addresses import Question
from wellkeeper_node.doctor.of_errors import of_error
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.model import Certificate, Installed, Served
from wellkeeper_node.probes.probes import address_text
from wellkeeper_node.wording import counted, format_time

CERTIFICATE: Final = "certificate"
SERVED: Final = "served"
CHAIN: Final = "served-chain"
_AT_ONCE: Final = 8
_NONE_YET: Final = "no certificate of a CA is installed yet"


class Looks(Protocol):
    """Looks at what is installed and served, which change nothing. All coroutines raise WellkeeperError."""

    async def installed(self, lineage: Lineage) -> Installed | None:
        """Return the live certificate; None when there was none yet."""
        ...

    async def served(self, lineage: Lineage) -> Served:
        """Return what nginx serves of it."""
        ...

    def live_path(self, lineage: Lineage) -> str:
        """Return the directory that nginx reads."""
        ...

    async def questions(self, lineage: Lineage, installed: Installed) -> Sequence[Question]:
        """Return the handshakes that get the certificate."""
        ...

    async def distrust(self, question: Question, lineage: Lineage, *, has_intermediates: bool = False) -> str:
        """Return why a client with the roots of this host refuses what is served, "" if it trusts it.

        With `has_intermediates`, the client has those of the installed chain already. Raises SettingsError when a
        bundle of the settings cannot be used, which `settings-files` reports.
        """
        ...

    def is_root_expected(self, lineage: Lineage) -> bool:
        """Return whether the roots of this host should have that of the lineage's CA."""
        ...


async def check_served(lineages: Sequence[Lineage], looks: Looks, now: datetime) -> Sequence[Finding]:
    """`certificate`: key, names and expiry of what is installed; `served`, `served-chain`: what clients get."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def check(lineage: Lineage) -> Sequence[Finding]:
        async with slots:
            return await _check(lineage, looks, now)

    found = await asyncio.gather(*map(check, lineages))
    return [finding for several in found for finding in several]


async def _check(lineage: Lineage, looks: Looks, now: datetime) -> Sequence[Finding]:
    try:
        installed = await looks.installed(lineage)
    except WellkeeperError as error:
        return [of_error(CERTIFICATE, error, lineage.name), *_skipped(lineage, "the installed files cannot be used")]
    if installed is None or installed.certificate.is_self_signed:
        return [Finding(CERTIFICATE, Verdict.SKIPPED, lineage.name, _NONE_YET), *_skipped(lineage, _NONE_YET)]
    certificate = _about_certificate(lineage, installed.certificate, now)
    try:
        served = await looks.served(lineage)
    except WellkeeperError as error:
        return [certificate, of_error(SERVED, error, lineage.name), *_skipped(lineage, "nginx does not serve it")[1:]]
    if served.is_served:
        found = Finding(SERVED, Verdict.OK, lineage.name, f"nginx serves it: {served.detail}")
        return [certificate, found, await _about_chain(lineage, installed, looks)]
    if served.is_hidden:
        return [certificate, *_skipped(lineage, served.detail)]
    return [certificate, _unused(lineage, looks.live_path(lineage)), *_skipped(lineage, "nginx does not serve it")[1:]]


def _skipped(lineage: Lineage, reason: str) -> list[Finding]:
    return [Finding(check, Verdict.SKIPPED, lineage.name, reason) for check in (SERVED, CHAIN)]


def _unused(lineage: Lineage, live_path: str) -> Finding:
    names = ", ".join(map(str, lineage.identifiers))
    fix = f"Add 'ssl_certificate {live_path}/fullchain.pem;' and its key to the server block, then reload nginx."
    return Finding(SERVED, Verdict.FAIL, lineage.name, f"no server block of nginx uses it for {names}", fix)


def _about_certificate(lineage: Lineage, certificate: Certificate, now: datetime) -> Finding:
    until, fix = format_time(certificate.not_after), f"Run 'wellkeeper why {lineage.name}'."
    if certificate.not_after <= now:
        return Finding(CERTIFICATE, Verdict.FAIL, lineage.name, f"it expired at {until}", fix)
    if certificate.not_after - now < certificate.lifetime / 10:
        return Finding(CERTIFICATE, Verdict.FAIL, lineage.name, f"it expires at {until} and was not renewed", fix)
    missing = ", ".join(sorted(map(str, set(lineage.identifiers) - certificate.identifiers)))
    extra = ", ".join(sorted(map(str, certificate.identifiers - set(lineage.identifiers))))
    if missing or extra:
        parts = [f"lacks {missing}"] if missing else []
        parts += [f"has {extra}, which the settings do not name"] if extra else []
        fix = f"Run 'wellkeeper renew {lineage.name}'."
        return Finding(CERTIFICATE, Verdict.WARN, lineage.name, f"it {' and '.join(parts)}", fix)
    names = counted(len(certificate.identifiers), "name")
    return Finding(CERTIFICATE, Verdict.OK, lineage.name, f"it covers {names}, matches its key, expires at {until}")


async def _about_chain(lineage: Lineage, installed: Installed, looks: Looks) -> Finding:
    try:
        questions = await looks.questions(lineage, installed)
        for question in questions:
            why = await looks.distrust(question, lineage)
            if why:
                is_incomplete = not await looks.distrust(question, lineage, has_intermediates=True)
                return _distrusted(lineage, question, why, looks, is_incomplete=is_incomplete)
    except SettingsError as error:
        return Finding(CHAIN, Verdict.SKIPPED, lineage.name, f"{error.what}: {error.why}")
    except WellkeeperError as error:
        return of_error(CHAIN, error, lineage.name)
    if not questions:
        return Finding(CHAIN, Verdict.SKIPPED, lineage.name, "clients get a certificate with another key type")
    where = counted(len({one.address for one in questions}), "address", "addresses")
    return Finding(CHAIN, Verdict.OK, lineage.name, f"clients trust what is served at {where}")


def _distrusted(lineage: Lineage, question: Question, why: str, looks: Looks, *, is_incomplete: bool) -> Finding:
    where = f"{address_text(question.address)} for {question.identifier}"
    if is_incomplete:
        cause = f"the chain that is served at {where} is incomplete: {why}"
        fix = f"Set 'ssl_certificate {looks.live_path(lineage)}/fullchain.pem;' in its server block, then reload nginx."
        return Finding(CHAIN, Verdict.FAIL, lineage.name, cause, fix)
    if not looks.is_root_expected(lineage):
        return Finding(CHAIN, Verdict.SKIPPED, lineage.name, "this host does not have the root of its CA")
    fix = "Update the roots of this host (ca-certificates), and compare the chain with what the CA documents."
    return Finding(CHAIN, Verdict.WARN, lineage.name, f"clients refuse what is served at {where}: {why}", fix)
