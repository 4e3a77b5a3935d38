"""The layout of a `certificates_dir`: `archive/<lineage>/<version>/`, and links to it in `live/`."""

import re
from typing import Final

CHAIN_FILE: Final = "fullchain.pem"
KEY_FILE: Final = "privkey.pem"
# An empty file that marks a version whose key stays elsewhere; without it the key was lost.
KEYLESS_FILE: Final = "privkey-is-elsewhere"
VERSION: Final = re.compile("[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}(-[0-9]+)?")


def linked_version(lineage: str, target: str) -> str | None:
    """Return the version that a link of this lineage points to; None when Wellkeeper did not make the link."""
    before, _, version = target.rpartition("/")
    return version if before == f"../archive/{lineage}" and VERSION.fullmatch(version) else None
