"""fleet: what this host needs for other nodes."""

from typing import Final

import click

from wellkeeper_issuer.commands.terminal.lazy import LazyGroup, Place

_SECTIONS: Final = {
    "Commands": {
        "listen": Place(
            "wellkeeper_issuer.commands.fleet_listen:listen", "Let nodes dial the relay of this host at an address."
        ),
    }
}


@click.group(cls=LazyGroup, sections=_SECTIONS)
def fleet() -> None:
    """Set up this host for other nodes, which get tokens and certificates through a relay here."""
