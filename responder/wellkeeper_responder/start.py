"""Start the responder, or check its health without loading it."""

import os
import sys

from wellkeeper_client import health

DEFAULT_CONTROL = "unix:/run/wellkeeper/control.sock"


def main() -> None:
    """Run the command of the process."""
    given = os.environ.get("WELLKEEPER_RESPONDER_CONTROL", "")
    address = health.asked_address(sys.argv[1:], "--control", given, DEFAULT_CONTROL)
    if address:
        sys.exit(health.check("responder", address))
    from wellkeeper_responder.__main__ import main as run

    run()
