"""publisher: other ACME clients that publish with keys of their own."""

from typing import Final

import click

from wellkeeper_issuer.commands.terminal.lazy import LazyGroup, Place

_SECTIONS: Final = {
    "Commands": {
        "add": Place("wellkeeper_issuer.commands.publisher_add:add", "Make a publishing key for a client."),
        "list": Place("wellkeeper_issuer.commands.publisher_list:list_publishers", "List publishers and their names."),
        "remove": Place("wellkeeper_issuer.commands.publisher_remove:remove", "Revoke the key of a client at once."),
    }
}


@click.group(cls=LazyGroup, sections=_SECTIONS)
def publisher() -> None:
    """Let other ACME clients publish tokens with keys of their own, for their accounts and names only.

    docs/publishers.md says when they need one.
    """
