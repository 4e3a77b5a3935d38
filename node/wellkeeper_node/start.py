"""Start the program of a node, or check the health of its agent without loading it."""

import os
import sys
import time
import tomllib
from pathlib import Path
from typing import Final

from wellkeeper_client import health

CONFIG_VARIABLE: Final = "WELLKEEPER_NODE_CONFIG"
DEFAULT_PATH: Final = Path("/etc/wellkeeper/node.toml")
DEFAULT_STATE_DIR: Final = Path("/var/lib/wellkeeper/node")
# The agent writes its report into it each minute.
STATUS_FILE: Final = "status.json"
SILENT_SECONDS: Final = 180.0


def main() -> None:
    """Run the command of the process."""
    if sys.argv[1:] == [health.FLAG]:
        sys.exit(check_health())
    from wellkeeper_node.__main__ import main as run

    run()


def check_health() -> int:
    """Return the exit status: 0 if the agent works, whether or not its certificates are fine."""
    path = _state_dir(Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_PATH)) / STATUS_FILE
    try:
        is_working = time.time() - path.stat().st_mtime <= SILENT_SECONDS
    except OSError:
        is_working = False
    if not is_working:
        sys.stderr.write(f"no healthy agent: it did not write {path} within {SILENT_SECONDS:g} s\n")
    return 0 if is_working else 1


def _state_dir(config: Path) -> Path:
    """Return the directory in the settings; the default one if they cannot be read, which the agent reports."""
    try:
        return Path(tomllib.loads(config.read_text()).get("state_dir", DEFAULT_STATE_DIR))
    except (OSError, ValueError, TypeError):
        return DEFAULT_STATE_DIR
