"""engine: an engine (Valkey, or Redis from 7.0) that carries the fleet's records beside the relay."""

from typing import Final

import click

from wellkeeper_issuer.commands.terminal.lazy import LazyGroup, Place

_SECTIONS: Final = {
    "Commands": {
        "acl": Place(
            "wellkeeper_issuer.commands.engine_acl:acl", "Print the users and the configuration that an engine needs."
        ),
        "check": Place(
            "wellkeeper_issuer.commands.engine_check:check", "Try what issuer and nodes do with the engine."
        ),
        "use": Place("wellkeeper_issuer.commands.engine_use:use", "Let the fleet use an engine, or stop using one."),
    }
}


@click.group(cls=LazyGroup, sections=_SECTIONS)
def engine() -> None:
    """Set up an engine (Valkey, or Redis from 7.0) that nodes follow beside the relay of this host."""
