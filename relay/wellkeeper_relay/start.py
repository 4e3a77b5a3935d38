"""Start the relay, or check its health without loading it."""

import os
import sys

from wellkeeper_client import health

DEFAULT_ISSUER = "unix:/run/wellkeeper-relay/issuer.sock"


def main() -> None:
    """Run the command of the process."""
    given = os.environ.get("WELLKEEPER_RELAY_ISSUER", "")
    address = health.asked_address(sys.argv[1:], "--issuer", given, DEFAULT_ISSUER)
    if address:
        sys.exit(health.check("relay", address))
    from wellkeeper_relay.__main__ import main as run

    run()
