"""node: invite, list and remove the other nodes of the fleet."""

from typing import Final

import click

from wellkeeper_issuer.commands.terminal.lazy import LazyGroup, Place

_SECTIONS: Final = {
    "Commands": {
        "invite": Place(
            "wellkeeper_issuer.commands.node_invite:invite", "Print the line with which one node joins, or several."
        ),
        "invites": Place("wellkeeper_issuer.commands.node_invites:invites", "List invites, and who joined with them."),
        "add": Place("wellkeeper_issuer.commands.node_add:add", "Enrol a node by its public line, without an invite."),
        "list": Place("wellkeeper_issuer.commands.node_list:list_nodes", "List nodes, and those invited by name."),
        "remove": Place(
            "wellkeeper_issuer.commands.node_remove:remove", "Send a node nothing more; its files stay there."
        ),
    }
}


@click.group(cls=LazyGroup, sections=_SECTIONS)
def node() -> None:
    """Invite, list and remove nodes: other hosts with an nginx, which get certificates from here."""
