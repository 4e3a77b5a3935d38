"""Read the live certificates, to show them."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from wellkeeper_node import durable, rights
from wellkeeper_node.certificates import chains, reading
from wellkeeper_node.certificates.layout import CHAIN_FILE
from wellkeeper_node.model import Certificate

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Link:
    """A certificate of a chain, with the name of its subject."""

    subject: str
    certificate: Certificate


def read_chain(certificates_dir: Path, lineage: str, version: str) -> Sequence[Link]:
    """Return the chain of this version, the leaf first; empty if it cannot be read. Blocking."""
    try:
        content = _read(certificates_dir, lineage, version)
        chain = chains.parse_chain(content)
    except (OSError, chains.ChainFault) as error:
        _log.warning("cannot read the chain of %s: %s", lineage, error)
        return ()
    return [Link(_subject(one), reading.describe(one)) for one in chain]


def _subject(certificate: x509.Certificate) -> str:
    """Return the names of a leaf, which may have no other subject; of an authority, that of its subject."""
    names = sorted(str(one) for one in reading.describe(certificate).identifiers)
    return ", ".join(names) or reading.distinguished_name(certificate.subject)


async def read_leaves(
    certificates_dir: Path, versions: Mapping[str, str], level: int = logging.WARNING
) -> dict[str, Certificate]:
    """Return the leaves of these versions by lineage, without those that cannot be read; keys are not read.

    Those that cannot be read are logged at this level.
    """

    def read() -> dict[str, Certificate]:
        return dict(_leaves(certificates_dir, versions, level))

    return await durable.to_its_end(read)


def _leaves(certificates_dir: Path, versions: Mapping[str, str], level: int) -> Iterator[tuple[str, Certificate]]:
    for lineage, version in versions.items():
        try:
            yield lineage, reading.read_certificate(_read(certificates_dir, lineage, version))
        except (OSError, ValueError) as error:
            path = certificates_dir / "archive" / lineage / version / CHAIN_FILE
            _log.log(level, "cannot read the certificate %s: %s", path, error)


def _read(certificates_dir: Path, lineage: str, version: str) -> bytes:
    with rights.of_owner(certificates_dir, lineage=lineage):
        return rights.read_file(certificates_dir / "archive" / lineage / version / CHAIN_FILE)
