"""config: check the settings without changing anything."""

from typing import Final

import click

from wellkeeper_issuer.commands.terminal.lazy import LazyGroup, Place

_SECTIONS: Final = {
    "Commands": {
        "check": Place("wellkeeper_issuer.commands.config_check:check", "Report all mistakes in the settings at once."),
    }
}


@click.group(cls=LazyGroup, sections=_SECTIONS)
def config() -> None:
    """Check the settings: issuer.toml and issuer.d beside it."""
