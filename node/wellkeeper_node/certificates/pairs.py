"""The files of one version of a certificate: what is written, and what makes a version usable.

All of it blocks; errors are OSError and ValueError, except where a function says otherwise.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from wellkeeper_node import presence, rights
from wellkeeper_node.certificates import reading
from wellkeeper_node.certificates.layout import CHAIN_FILE, KEY_FILE, KEYLESS_FILE
from wellkeeper_node.errors import InstallError
from wellkeeper_node.model import Pair

_LEAF_FILE: Final = "cert.pem"
_REST_FILE: Final = "chain.pem"


@dataclass(frozen=True, slots=True)
class Salvaged:
    """A usable pair of a version; unless `is_whole`, its fullchain.pem is damaged and was put together again."""

    pair: Pair
    is_whole: bool


def files_of(lineage: str, pair: Pair) -> dict[str, bytes]:
    """Return the files that other ACME clients write too; without the key when it stays elsewhere.

    Raises InstallError for a pair that does not match.
    """
    try:
        is_pair = _is_pair(pair)
        leaf, rest = reading.split_chain(pair.chain_pem)
    except ValueError as error:
        why = f"the certificate or its key is not PEM: {error}"
        raise InstallError(f"cannot install the certificate of {lineage}", why) from error
    if not is_pair:
        raise InstallError(f"cannot install the certificate of {lineage}", "the key does not match the certificate")
    files = {_LEAF_FILE: leaf, _REST_FILE: rest, CHAIN_FILE: reading.normalise_pem(pair.chain_pem)}
    if pair.certificate_key_pem:
        return files | {KEY_FILE: reading.normalise_pem(pair.certificate_key_pem)}
    return files | {KEYLESS_FILE: b""}


def read_pair(folder: Path) -> Pair:
    """Return the pair of a version. Raises ValueError for one that nginx or its clients could not use."""
    pair = Pair(_read_key(folder), rights.read_file(folder / CHAIN_FILE))
    _, rest = reading.split_chain(pair.chain_pem)
    reading.read_certificate(pair.chain_pem)
    if not _is_pair(pair):
        raise ValueError(f"{KEY_FILE} is not the key of the certificate in {CHAIN_FILE}")
    if len(rest) < _size(folder / _REST_FILE):
        raise ValueError(f"{CHAIN_FILE} is cut short: {_REST_FILE} holds more certificates")
    return pair


def salvage_pair(folder: Path) -> Salvaged | None:
    """Return the pair of a version, if necessary from cert.pem and chain.pem; None when that is impossible."""
    try:
        return Salvaged(read_pair(folder), is_whole=True)
    except (OSError, ValueError):
        try:
            return Salvaged(_put_together(folder), is_whole=False)
        except (OSError, ValueError):
            return None


def _put_together(folder: Path) -> Pair:
    leaf, rest = (rights.read_file(folder / name) for name in (_LEAF_FILE, _REST_FILE))
    pair = Pair(_read_key(folder), leaf + rest)
    # Its certificates as they were written: a file that was cut short is not one of them.
    if b"".join(reading.split_chain(pair.chain_pem)) != pair.chain_pem or not _is_pair(pair):
        raise ValueError(f"{_LEAF_FILE} and {_REST_FILE} are damaged, too")
    return replace(pair, chain_pem=reading.normalise_pem(pair.chain_pem))


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _is_pair(pair: Pair) -> bool:
    """Return True when the key matches the certificate or stays elsewhere. Raises ValueError when not PEM."""
    return not pair.certificate_key_pem or reading.certificate_key_matches(pair.chain_pem, pair.certificate_key_pem)


def _read_key(folder: Path) -> bytes:
    """Return the key, empty when it stays elsewhere. Raises FileNotFoundError and ValueError for a lost key."""
    if presence.exists(folder / KEYLESS_FILE):
        return b""
    content = rights.read_file(folder / KEY_FILE)
    if not content:
        raise ValueError(f"{KEY_FILE} is empty")
    return content
