"""config: check, show and describe the settings without changing anything."""

from typing import Final

import click

from wellkeeper_issuer.commands.terminal.lazy import LazyGroup, Place

_SECTIONS: Final = {
    "Commands": {
        "check": Place("wellkeeper_issuer.commands.config_check:check", "Report all mistakes in the settings at once."),
        "show": Place("wellkeeper_issuer.commands.config_show:show", "Show every value, and where it comes from."),
        "schema": Place("wellkeeper_issuer.commands.config_schema:schema", "Print the JSON Schema of the settings."),
    }
}


@click.group(cls=LazyGroup, sections=_SECTIONS)
def config() -> None:
    """Check and show the settings: issuer.toml and issuer.d beside it."""
