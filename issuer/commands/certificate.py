"""certificate: add, remove and list certificates without an editor."""

from typing import Final

import click

from issuer.commands.lazy import LazyGroup

_COMMANDS: Final = {
    "add": "issuer.commands.certificate_add:add",
    "remove": "issuer.commands.certificate_remove:remove",
    "list": "issuer.commands.list:list_certificates",
}


@click.group(cls=LazyGroup, places=_COMMANDS)
def certificate() -> None:
    """Add and remove certificates: files in issuer.d beside the settings."""
