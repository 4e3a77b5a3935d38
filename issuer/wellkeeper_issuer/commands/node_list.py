"""node list: the nodes that joined, and the invites that are open."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands.terminal import options, screen
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.screen import Row
from wellkeeper_issuer.commands.terminal.table import print_table
from wellkeeper_issuer.ports.fleet import EnrolledNode, OpenInvite
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.wording import format_time

_TITLES: Final = ("NODE", "STATE", "ANSWERS", "CERTIFICATES")


@click.command("list")
@options.config_option
@options.json_option
def list_nodes(config: Path | None, as_json: bool) -> None:
    """List the nodes that joined, and those that were invited by name.

    'wellkeeper node invites' lists all invites, and 'wellkeeper status --nodes' shows what nodes have.
    """
    nodes, invites = asyncio.run(_read(options.read(config, is_for_standbys=True)))
    if as_json:
        print_json({"nodes": [_node(one) for one in nodes], "invites": [_invite(one) for one in invites]})
    elif nodes or invites:
        rows = [_row(one.name, f"joined {format_time(one.enrolled_at)}", one) for one in nodes]
        rows += [_row(one.node, f"invited until {format_time(one.expires_at)}", one) for one in invites]
        print_table(_TITLES, rows, name_column=0, cuts_last=False)
    else:
        screen.print_lines(["no other node has joined", "Next: sudo wellkeeper node invite NAME"])


async def _read(settings: Settings) -> tuple[Sequence[EnrolledNode], Sequence[OpenInvite]]:
    now = SystemClock().now()
    async with build.state_to_read(settings) as state:
        nodes, invites = await state.fleet.read_nodes(), await state.fleet.read_invites()
    named = [one for one in invites.values() if one.node and not one.is_used_up and one.is_open(now)]
    return list(nodes.values()), named


def _row(name: str, state: str, one: EnrolledNode | OpenInvite) -> Row:
    return Row((name, state, "yes" if one.answers else "no", "all" if "*" in one.lineages else ", ".join(one.lineages)))


def _node(one: EnrolledNode) -> dict[str, Any]:
    keys = {"signing_key": one.signing_key, "sealing_key": one.sealing_key}
    since = {"enrolled_at": one.enrolled_at.isoformat(), "is_ephemeral": one.is_ephemeral, "invite": one.invite or None}
    return {"name": one.name, **keys, **_rights(one), **since}


def _invite(one: OpenInvite) -> dict[str, Any]:
    return {"node": one.node, **_rights(one), "expires_at": one.expires_at.isoformat()}


def _rights(one: EnrolledNode | OpenInvite) -> dict[str, Any]:
    return {"certificates": list(one.lineages), "answers": one.answers}
