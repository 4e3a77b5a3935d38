"""Decide which older version may stand in for a live one that is missing or damaged."""

from datetime import datetime
from typing import Final

from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.records import Schedule
from wellkeeper_node.model import Identifier, Installed

# Let's Encrypt's staging CA names itself so; clients do not trust its certificates.
_STAGING: Final = "(STAGING)"


def can_stand_in(installed: Installed, lineage: Lineage, schedule: Schedule | None, now: datetime) -> bool:
    """Return whether the version is valid now and is what the settings ask for.

    `schedule` is the recorded one, which knows the CA of its version; the CA of another version is unknown.
    """
    certificate = installed.certificate
    return (
        certificate.not_before <= now < certificate.not_after
        and not certificate.is_self_signed
        and _is_for(certificate.identifiers, lineage)
        and installed.has_key == (lineage.csr_path is None)
        and (lineage.is_external or lineage.csr_path is not None or certificate.key_type is lineage.key_type)
        and _is_of_its_cas(installed, lineage, schedule)
    )


def _is_for(identifiers: frozenset[Identifier], lineage: Lineage) -> bool:
    wanted = frozenset(lineage.identifiers)
    return identifiers == wanted or (lineage.drops_failing_names and identifiers < wanted)


def _is_of_its_cas(installed: Installed, lineage: Lineage, schedule: Schedule | None) -> bool:
    if schedule is None or schedule.version != installed.version or not schedule.directory_url:
        return _STAGING not in installed.certificate.issued_by
    return lineage.is_external or schedule.directory_url in lineage.directory_urls
