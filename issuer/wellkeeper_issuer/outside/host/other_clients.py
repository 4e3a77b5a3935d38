"""Read which names certbot and acme.sh keep renewed on this host; changes nothing."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.host.certbot import read_certbot
from wellkeeper_node import presence, rights
from wellkeeper_node.certificates import reading

CERTBOT: Final = Path("/etc/letsencrypt")
ACME_SH: Final = Path("/root/.acme.sh")
_NAMES: Final = re.compile(r"^Le_(?:Domain|Alt)='([^']*)'", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class OtherLineage:
    """A certificate of another client: its name there, and its identifiers."""

    client: str
    name: str
    identifiers: frozenset[str]


def read_other_lineages(certbot: Path = CERTBOT, acme_sh: Path = ACME_SH) -> tuple[OtherLineage, ...]:
    """Return the certificates of these directories, which need not exist; damaged ones are left out.

    Raises PermissionError, and SettingsError for a directory of certbot that cannot be read.
    """
    return (*_of_certbot(certbot), *_of_acme_sh(acme_sh))


def _of_certbot(folder: Path) -> Iterator[OtherLineage]:
    try:
        lineages = read_certbot(folder).lineages
    except SettingsError as error:
        if isinstance(error.__cause__, PermissionError):
            raise error.__cause__ from error
        if error.__cause__ is not None:
            raise
        return
    for one in lineages:
        if one.pair is not None and one.parameters:
            identifiers = reading.read_certificate(one.pair.chain_pem).identifiers
            yield OtherLineage("certbot", one.name, frozenset(map(str, identifiers)))


def _of_acme_sh(folder: Path) -> Iterator[OtherLineage]:
    if not presence.is_dir(folder):
        return
    for path in sorted(folder.glob("*/*.conf")):
        text = rights.read_file(path, follows_link=True).decode(errors="replace") if presence.is_file(path) else ""
        names = frozenset(name for value in _NAMES.findall(text) for name in value.split(",") if "." in name)
        if names:
            yield OtherLineage("acme.sh", path.stem, names)
