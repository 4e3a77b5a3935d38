"""Decide which older version may stand in for a live one that is missing or damaged."""

from datetime import datetime

from wellkeeper_issuer.model import Lineage
from wellkeeper_node.model import Identifier, Installed, KeyAlgorithm, KeyType


def can_stand_in(installed: Installed, lineage: Lineage, now: datetime) -> bool:
    """Return whether the version is valid now and is what the settings ask for."""
    certificate = installed.certificate
    return (
        certificate.not_before <= now < certificate.not_after
        and not certificate.is_self_signed
        and _is_for(certificate.identifiers, lineage)
        and installed.has_key == (lineage.csr_path is None)
        and (lineage.csr_path is not None or certificate.key_algorithm is _algorithm(lineage.key_type))
    )


def _is_for(identifiers: frozenset[Identifier], lineage: Lineage) -> bool:
    wanted = frozenset(lineage.identifiers)
    return identifiers == wanted or (lineage.drops_failing_names and identifiers < wanted)


def _algorithm(key_type: KeyType) -> KeyAlgorithm:
    return KeyAlgorithm.RSA if key_type.value.startswith("rsa") else KeyAlgorithm.ECDSA
