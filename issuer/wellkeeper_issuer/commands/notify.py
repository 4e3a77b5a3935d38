"""notify: what has to do with notifications to the administrator."""

from typing import Final

import click

from wellkeeper_issuer.commands.terminal.lazy import LazyGroup, Place

_SECTIONS: Final = {
    "Commands": {
        "test": Place("wellkeeper_issuer.commands.notify_test:test", "Send a test to each target of notifications.")
    }
}


@click.group(cls=LazyGroup, sections=_SECTIONS)
def notify() -> None:
    """Test the notifications by webhook and mail."""
