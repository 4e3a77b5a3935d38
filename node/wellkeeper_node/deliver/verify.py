"""Proves by handshake that nginx serves what was installed, for every identifier at every address of the node."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from wellkeeper_node.advice import handshakes
from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Certificate, Identifier, IdentifierType, Installed, Served
from wellkeeper_node.ports import Nginx, Probes
from wellkeeper_node.wording import counted

_CONCURRENT_HANDSHAKES: Final = 8
_SHOWN: Final = 3

_Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Finding:
    """What one handshake brought: a leaf, a refusal (neither), or no connection (`error`)."""

    address: _Address
    identifier: Identifier
    leaf: Certificate | None
    error: VerifyError | None


async def verify(
    installed: Installed, https_addresses: Sequence[_Address], nginx: Nginx, live_path: str, probes: Probes
) -> Served:
    """Served when every handshake brings the installed leaf; not served yet when nginx does not use it at all.

    A name that this nginx does not have at all (a mail host in the same certificate) is told, and is no error.
    `live_path` is the lineage's folder as nginx is told to read it. Raises VerifyError when nginx's configuration
    names the certificate and something else is served.
    """
    findings = await _ask(installed, https_addresses, probes)
    expected = installed.certificate.fingerprint_sha256
    wrong = [one for one in findings if one.leaf is None or one.leaf.fingerprint_sha256 != expected]
    if findings and not wrong:
        return Served(is_served=True, fingerprint_sha256=expected, detail=counted(len(findings), "handshake"))
    right = {one.identifier for one in findings if one not in wrong}
    if right and not any(one.identifier in right or _is_about_its_name(one) for one in wrong):
        names = ", ".join(sorted({str(one.identifier) for one in wrong}))
        detail = f"{counted(len(findings) - len(wrong), 'handshake')}; no server block here has {names}"
        return Served(is_served=True, fingerprint_sha256=expected, detail=detail)
    if await nginx.mentions(f"{live_path}/fullchain.pem"):
        raise VerifyError(_complaint(installed, wrong, live_path))
    leaves = [one.leaf.fingerprint_sha256 for one in wrong if one.leaf is not None]
    return Served(
        is_served=False, fingerprint_sha256=leaves[0] if leaves else None, detail=_lines_to_add(installed, live_path)
    )


async def _ask(installed: Installed, addresses: Sequence[_Address], probes: Probes) -> list[_Finding]:
    limit = asyncio.Semaphore(_CONCURRENT_HANDSHAKES)
    key_algorithm = installed.certificate.key_algorithm

    async def served_leaf(address: _Address, identifier: Identifier) -> Certificate | None:
        leaf = await probes.handshake(address, identifier)
        if leaf is None or key_algorithm in {None, leaf.key_algorithm}:
            return leaf
        # A server block may have two certificates, RSA and ECDSA, of which clients get the one that they prefer.
        return await probes.handshake(address, identifier, key_algorithm) or leaf

    async def ask(address: _Address, identifier: Identifier) -> _Finding:
        async with limit:
            try:
                return _Finding(address, identifier, await served_leaf(address, identifier), None)
            except VerifyError as error:
                return _Finding(address, identifier, None, error)

    identifiers = sorted(installed.certificate.identifiers)
    asked = [(address, one) for address in addresses for one in identifiers if address in _addresses_of(one, addresses)]
    return await asyncio.gather(*(ask(address, one) for address, one in asked))


def _addresses_of(identifier: Identifier, addresses: Sequence[_Address]) -> Sequence[_Address]:
    """Where its certificate is to be expected: each address may have a default server of its own."""
    if identifier.type is IdentifierType.DNS:
        return addresses
    itself = [one for one in addresses if one[0] == identifier.value]
    of_its_family = [one for one in addresses if (":" in one[0]) == (":" in identifier.value)]
    return itself or of_its_family or addresses


def _is_about_its_name(finding: _Finding) -> bool:
    """Whether the node answers for this very name: not so when it refuses it, or serves a leaf of other names."""
    if finding.leaf is None:
        return finding.error is not None
    return finding.identifier in finding.leaf.identifiers


def _complaint(installed: Installed, wrong: Sequence[_Finding], live_path: str) -> str:
    if not wrong:
        return f"{installed.lineage} cannot be verified: the settings give no https_addresses for this node"
    shown = [_describe(one) for one in wrong[:_SHOWN]]
    if len(wrong) > _SHOWN:
        shown.append(f"and {len(wrong) - _SHOWN} more like these")
    leaf = installed.certificate
    key_differs = any(one.leaf and one.leaf.key_algorithm is not leaf.key_algorithm for one in wrong)
    causes = handshakes.causes_of_wrong_leaf(
        leaf.key_algorithm if key_differs else None, any(one.leaf for one in wrong)
    )
    return (
        f"nginx does not serve the installed certificate of {installed.lineage} (serial {leaf.serial}, valid until"
        f" {leaf.not_after:%Y-%m-%d}): {'; '.join(shown)}. The configuration names {live_path}/fullchain.pem, so"
        f" {causes}. \"nginx -T | grep -nE 'listen|server_name|ssl_certificate'\" shows which"
    )


def _describe(finding: _Finding) -> str:
    where = _text(finding.address)
    if finding.error is not None:
        return str(finding.error)
    if finding.leaf is None:
        return f"{where} refuses the TLS handshake for {finding.identifier}"
    leaf = finding.leaf
    issued_by = "self-signed" if leaf.is_self_signed else f"issued by {leaf.issued_by}"
    return (
        f"{where} serves for {finding.identifier} serial {leaf.serial} ({issued_by}, valid until"
        f" {leaf.not_after:%Y-%m-%d})"
    )


def _lines_to_add(installed: Installed, live_path: str) -> str:
    names = ", ".join(map(str, sorted(installed.certificate.identifiers)))
    certificate_key = f"{live_path}/privkey.pem" if installed.has_key else "THE KEY OF YOUR CSR"
    return (
        f"no server block of nginx names it. Add these lines to the one for {names}:\n"
        f"    ssl_certificate     {live_path}/fullchain.pem;\n"
        f"    ssl_certificate_key {certificate_key};\n"
        "then reload nginx ('nginx -t && systemctl reload nginx')"
    )


def _text(address: _Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
