"""certificate: add, remove and list certificates without an editor."""

from typing import Final

import click

from wellkeeper_issuer.commands.terminal.lazy import LazyGroup, Place

_SECTIONS: Final = {
    "Commands": {
        "add": Place(
            "wellkeeper_issuer.commands.certificate_add:add", "Configure one, obtain it, and show the nginx lines."
        ),
        "remove": Place("wellkeeper_issuer.commands.certificate_remove:remove", "Stop renewing one; its files stay."),
        "list": Place(
            "wellkeeper_issuer.commands.list:list_certificates", "List the certificates with names, CAs and key types."
        ),
    }
}


@click.group(cls=LazyGroup, sections=_SECTIONS)
def certificate() -> None:
    """Add and remove certificates: files in issuer.d beside the settings."""
