"""Start the program, or check the health of the daemon without loading it."""

import os
import sys
from pathlib import Path

from wellkeeper_client import health
from wellkeeper_issuer.location import DEFAULT_STATE_DIR, peek_state_dir, settings_path


def main() -> None:
    """Run the command of the process."""
    if sys.argv[1:] == [health.FLAG]:
        sys.exit(check_health(None))
    from wellkeeper_issuer.__main__ import main as run

    run()


def check_health(config: Path | None) -> int:
    """Return the exit status: 0 if the daemon with these settings answers, whether or not its certificates are fine."""
    state_dir = peek_state_dir(settings_path(config)) or DEFAULT_STATE_DIR
    address = f"unix:{os.fspath(state_dir)}/daemon.sock"
    if health.answers(address, b'{"command": "status"}\n', b'{"result": '):
        return 0
    sys.stderr.write(f"no healthy daemon at {address}\n")
    return 1
