"""Forget a fleet on this node: delete the agent's state and keys, while no agent runs. Blocking."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from wellkeeper_client import services
from wellkeeper_node import durable, history
from wellkeeper_node.agent.keys import NodeKeys
from wellkeeper_node.errors import FleetError, LockedError

LOCK: Final = "agent.lock"
_LOCK_SECONDS: Final = 1.0
# The files of docs/design/0027-agent.md beside the keys, and what a crash left of writing one.
_STATE: Final = (
    "manifest.jws",
    "manifest.lock",
    "report_number",
    "pending.json",
    "status.json",
    "fleet_keys.json",
    *history.FILES,
    history.LOCK,
)


@contextlib.contextmanager
def alone(state_dir: Path) -> Iterator[None]:
    """Hold the lock of the one agent that may use the directory, which is created. Raises InstallError."""
    with durable.translated(state_dir):
        durable.make_folder(state_dir, 0o700, durable.Owner())
        with durable.locked(state_dir / LOCK, "agent", _LOCK_SECONDS):
            yield


def forget(state_dir: Path, node: str) -> tuple[Path, ...]:
    """Delete the keys and all that an agent wrote, and return what is left there, which is not ours.

    Repeatable. Raises FleetError while an agent runs, and InstallError.
    """
    try:
        with alone(state_dir):
            for name in _STATE:
                (state_dir / f".{name}.tmp").unlink(missing_ok=True)
                (state_dir / name).unlink(missing_ok=True)
            NodeKeys(state_dir).delete()
            (state_dir / LOCK).unlink()
            left = tuple(sorted(state_dir.iterdir()))
            if not left:
                state_dir.rmdir()
    except LockedError as error:
        why, remedy = "wellkeeper-node is running here", services.sentence("stop", "wellkeeper-node")
        raise FleetError(f"cannot leave as {node}", why, remedy) from error
    return left
