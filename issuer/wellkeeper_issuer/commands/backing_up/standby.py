"""Restore on a node that becomes a standby: state and settings of the issuer, beside the node's own certificates."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wellkeeper_issuer.errors import BackupError
from wellkeeper_issuer.outside.state.standby import MARK, Standby, read_standby
from wellkeeper_issuer.outside.state.state import JOURNAL, open_state
from wellkeeper_issuer.settings.files import drop_in_folder
from wellkeeper_node import presence, settings
from wellkeeper_node.settings import NodeSettings
from wellkeeper_node.start import CONFIG_VARIABLE, DEFAULT_PATH

if TYPE_CHECKING:
    from wellkeeper_issuer.outside.backup.contents import Manifest
    from wellkeeper_issuer.outside.backup.places import Item

_ALL = "*"


def read_node() -> NodeSettings:
    """Return the settings of this host's node. Raises FleetError, also on a host that is none."""
    return settings.read(Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_PATH))


def choose(manifest: "Manifest", items: Sequence["Item"], path: Path) -> tuple[list["Item"], tuple[Path, ...]]:
    """Return what a standby gets, with its mark, and the directories of an earlier standby that it replaces.

    The node's agent keeps the certificates current, and the node has its own trust file. Raises BackupError on a host
    that cannot be a standby for this issuer, FleetError and JournalError.
    """
    from wellkeeper_issuer.outside.backup.places import Item

    _check(manifest, read_node())
    state_dir, certificates_dir = Path(manifest.state_dir), Path(manifest.certificates_dir)
    mark = Standby(manifest.host, manifest.created_at)
    trust = path.with_name(Path(manifest.trust_file).name), Path(manifest.trust_file)
    chosen = [one for one in items if one.base != certificates_dir and one.base / one.inside not in trust]
    chosen.insert(0, Item(state_dir, MARK, 0o600, mark.to_bytes(), modified_at=int(mark.backup_at.timestamp())))
    is_standby = presence.exists(state_dir) and read_standby(state_dir) is not None
    return chosen, (state_dir, drop_in_folder(path)) if is_standby else ()


def _check(manifest: "Manifest", node: NodeSettings) -> None:
    what = "cannot make this host a standby"
    if not manifest.has_fleet:
        why = f"the issuer on {manifest.host} has no fleet, but this host is a node of one"
        raise BackupError(what, why, "Run 'wellkeeper restore' without --standby on a host that is not a node.")
    if str(node.certificates_dir) != manifest.certificates_dir:
        why = f"its node has certificates_dir = {node.certificates_dir}, but the issuer has {manifest.certificates_dir}"
        raise BackupError(what, why, "Use the same directory on both: an issuer takes over what its nginx serves.")


async def next_steps(manifest: "Manifest") -> tuple[str, ...]:
    """Return what to do on a new standby. Raises JournalError."""
    async with open_state(Path(manifest.state_dir) / JOURNAL, may_write=False) as state:
        known = (await state.fleet.read_nodes()).get(name := read_node().name)
    newer = "Run this command again with each newer backup; it replaces this one."
    lost = f"If the issuer on {manifest.host} is lost, run 'wellkeeper promote' here."
    if known is not None and _ALL in known.lineages:
        return newer, lost
    some = f"only {', '.join(known.lineages)}" if known else "no certificate, as it is not enrolled in this backup"
    lacks = f"Let this node get all certificates: node {name} gets {some}, and a promotion orders the others again."
    return lacks, newer, lost
