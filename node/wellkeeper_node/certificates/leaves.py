"""Read the live certificates, to show them."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from wellkeeper_node import durable, rights
from wellkeeper_node.certificates import reading
from wellkeeper_node.certificates.layout import CHAIN_FILE
from wellkeeper_node.model import Certificate

_log = logging.getLogger(__name__)


async def read_leaves(certificates_dir: Path, versions: Mapping[str, str]) -> dict[str, Certificate]:
    """Return the leaves of these versions by lineage, without those that cannot be read; keys are not read."""

    def read() -> dict[str, Certificate]:
        return dict(_leaves(certificates_dir, versions))

    return await durable.to_its_end(read)


def _leaves(certificates_dir: Path, versions: Mapping[str, str]) -> Iterator[tuple[str, Certificate]]:
    for lineage, version in versions.items():
        path = certificates_dir / "archive" / lineage / version / CHAIN_FILE
        try:
            with rights.of_owner(certificates_dir, lineage=lineage):
                content = rights.read_file(path)
            yield lineage, reading.read_certificate(content)
        except (OSError, ValueError) as error:
            _log.warning("cannot read the certificate %s: %s", path, error)
