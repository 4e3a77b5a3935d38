"""Verify by handshakes that nginx serves the installed certificate, wherever it must."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from wellkeeper_client import services
from wellkeeper_node.advice import handshakes
from wellkeeper_node.deliver.addresses import Plan, Question
from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Certificate, Identifier, Installed, Served
from wellkeeper_node.ports import Probes
from wellkeeper_node.wording import counted, with_reload

_CONCURRENT_HANDSHAKES: Final = 8

_Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Finding:
    """The result of one handshake: a leaf, a refusal (neither), or no connection (`error`)."""

    address: _Address
    identifier: Identifier
    leaf: Certificate | None
    error: VerifyError | None


async def verify(
    installed: Installed,
    wanted: Plan,
    live_path: str,
    probes: Probes,
    versions: Callable[[str], Awaitable[Collection[str]]],
) -> Served:
    """Return served when every handshake gets the installed leaf, and not served when nginx does not use it yet.

    A name that this nginx does not serve (a mail host in the same certificate) is reported, but is not an error.
    `live_path` is the lineage's directory in nginx's configuration; `versions` lists those in its archive, for wrong
    leaves only. Raises VerifyError when the configuration names the certificate but nginx serves something else, or
    when nginx serves an older version, from a copy.
    """
    if wanted.hidden:
        return Served(is_served=False, fingerprint_sha256=None, detail=wanted.hidden, is_hidden=True)
    findings = await _ask(installed, wanted.questions, probes)
    if wanted.instead and all(one.error for one in findings):
        findings = await _ask(installed, wanted.instead, probes)
    expected = installed.certificate.fingerprint_sha256
    wrong = [one for one in findings if one.leaf is None or one.leaf.fingerprint_sha256 != expected]
    if findings and not wrong:
        return Served(is_served=True, fingerprint_sha256=expected, detail=counted(len(findings), "handshake"))
    right = {one.identifier for one in findings if one not in wrong}
    if right and not any(one.identifier in right or _is_about_its_name(one) for one in wrong):
        names = ", ".join(sorted({str(one.identifier) for one in wrong}))
        detail = f"{counted(len(findings) - len(wrong), 'handshake')}; no server block here serves {names}"
        return Served(is_served=True, fingerprint_sha256=expected, detail=detail)
    if wanted.is_named:
        raise _error(installed, wrong)
    leaves = [one.leaf.fingerprint_sha256 for one in wrong if one.leaf is not None]
    if leaves and is_one_of(leaves, await versions(installed.lineage)):
        raise _error(installed, wrong, handshakes.remedy_for_copy(live_path))
    return Served(
        is_served=False,
        fingerprint_sha256=leaves[0] if leaves else None,
        detail=_lines_to_add(installed, live_path),
        leaf=_leaf_instead(wrong),
        is_refused=_has_refusal(wrong),
    )


def _leaf_instead(wrong: Sequence[_Finding]) -> Certificate | None:
    """Return the certificate that clients get instead, the one that expires first."""
    found = [one.leaf for one in wrong if one.leaf is not None and one.identifier.is_covered_by(one.leaf.identifiers)]
    return min(found, key=lambda one: one.not_after, default=None)


def _has_refusal(wrong: Sequence[_Finding]) -> bool:
    return any(one.leaf is None and one.error is None for one in wrong)


async def _ask(installed: Installed, questions: Sequence[Question], probes: Probes) -> list[_Finding]:
    limit = asyncio.Semaphore(_CONCURRENT_HANDSHAKES)
    key_algorithm = installed.certificate.key_algorithm

    async def served_leaf(one: Question) -> Certificate | None:
        leaf = await probes.handshake(one.address, one.identifier, None, one.speaks_proxy_protocol)
        if leaf is None or key_algorithm in {None, leaf.key_algorithm}:
            return leaf
        # A server block may have an RSA and an ECDSA certificate; a client gets the one that it prefers.
        second = await probes.handshake(one.address, one.identifier, key_algorithm, one.speaks_proxy_protocol)
        return second or leaf

    async def ask(one: Question) -> _Finding:
        async with limit:
            try:
                return _Finding(one.address, one.identifier, await served_leaf(one), None)
            except VerifyError as error:
                return _Finding(one.address, one.identifier, None, error)

    return await asyncio.gather(*(ask(one) for one in questions))


def _is_about_its_name(finding: _Finding) -> bool:
    """Return False when the node refuses this name or serves a leaf for other names."""
    if finding.leaf is None:
        return finding.error is not None
    return finding.identifier.is_covered_by(finding.leaf.identifiers)


def is_one_of(fingerprints: Collection[str], versions: Collection[str]) -> bool:
    """Return True for the leaf of a version: its name contains the start of the fingerprint."""
    return any(fingerprint[:8] in version for fingerprint in fingerprints for version in versions)


def _error(installed: Installed, wrong: Sequence[_Finding], remedy: str = "") -> VerifyError:
    """Return the error that shows one wrong handshake, if possible one that got a leaf, and counts the others."""
    if not wrong:
        return VerifyError(
            f"cannot verify the certificate of {installed.lineage}",
            "this node has no https_addresses",
            with_reload("Set https_addresses in the settings."),
        )
    shown, *others = sorted(wrong, key=lambda one: one.leaf is None)
    leaf = installed.certificate
    key_differs = any(one.leaf and one.leaf.key_algorithm is not leaf.key_algorithm for one in wrong)
    other_key = leaf.key_algorithm if key_differs else None
    more = f", and {counted(len(others), 'more wrong handshake')}" if others else ""
    error = VerifyError(
        f"nginx does not serve the installed certificate of {installed.lineage} (serial {leaf.serial}, valid until"
        f" {leaf.not_after:%Y-%m-%d})",
        _describe(shown) + more,
        remedy or handshakes.remedy_for_wrong_leaf(other_key, any(one.leaf for one in wrong)),
    )
    error.leaf, error.is_refused = _leaf_instead(wrong), _has_refusal(wrong)
    error.unrelated = next((one.leaf for one in wrong if one.leaf is not None), None) if error.leaf is None else None
    error.is_unanswered = any(one.error is not None for one in wrong)
    return error


def _describe(finding: _Finding) -> str:
    where = _text(finding.address)
    if finding.error is not None:
        return ": ".join(part for part in (finding.error.what, finding.error.why) if part)
    if finding.leaf is None:
        return f"{where} refuses the TLS handshake for {finding.identifier}"
    leaf = finding.leaf
    issued_by = "self-signed" if leaf.is_self_signed else f"issued by {leaf.issued_by}"
    return (
        f"{where} serves serial {leaf.serial} for {finding.identifier} ({issued_by}, valid until"
        f" {leaf.not_after:%Y-%m-%d})"
    )


def _lines_to_add(installed: Installed, live_path: str) -> str:
    names = ", ".join(map(str, sorted(installed.certificate.identifiers)))
    certificate_key = f"{live_path}/privkey.pem" if installed.has_key else "THE KEY OF YOUR CSR"
    return (
        f"no nginx server block uses it yet. Add these lines to the one for {names}:\n"
        f"    ssl_certificate     {live_path}/fullchain.pem;\n"
        f"    ssl_certificate_key {certificate_key};\n"
        f"then test it with 'nginx -t', and {services.clause('reload', 'nginx')}"
    )


def _text(address: _Address) -> str:
    host, port = address
    if host.startswith("unix:"):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
