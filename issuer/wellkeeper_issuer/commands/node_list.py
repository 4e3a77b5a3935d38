"""node list: the nodes that joined, and the invites that are open."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands.status_nodes import ago
from wellkeeper_issuer.commands.terminal import options, screen
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.screen import Row
from wellkeeper_issuer.commands.terminal.table import print_table
from wellkeeper_issuer.fleet.reports import Seen, read_all
from wellkeeper_issuer.ports.fleet import EnrolledNode, OpenInvite
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.wording import format_time

_TITLES: Final = ("NODE", "STATE", "SEEN", "FOLLOWS", "ANSWERS", "CERTIFICATES")


@click.command("list")
@options.config_option
@options.json_option
def list_nodes(config: Path | None, as_json: bool) -> None:
    """List the nodes that joined, and those that were invited by name.

    'follows' is how a node hears this issuer, by its last report: through the relay, the engine or both.
    'wellkeeper node invites' lists all invites, and 'wellkeeper status --nodes' shows what nodes have.
    """
    nodes, invites, seen = asyncio.run(_read(options.read(config, is_for_standbys=True)))
    if as_json:
        listed = [_node(one, seen.get(one.name)) for one in nodes]
        print_json({"nodes": listed, "invites": [_invite(one) for one in invites]})
    elif nodes or invites:
        rows = [_row(one, f"joined {format_time(one.enrolled_at)}", seen.get(one.name)) for one in nodes]
        rows += [_row(one, f"invited until {format_time(one.expires_at)}", None) for one in invites]
        print_table(_TITLES, rows, name_column=0, cuts_last=False)
    else:
        screen.print_lines(["no other node has joined", "Next: sudo wellkeeper node invite NAME"])


async def _read(settings: Settings) -> tuple[Sequence[EnrolledNode], Sequence[OpenInvite], Mapping[str, Seen]]:
    now = SystemClock().now()
    async with build.state_to_read(settings) as state:
        nodes, invites = await state.fleet.read_nodes(), await state.fleet.read_invites()
        reports = await state.fleet.read_reports()
    named = [one for one in invites.values() if one.node and not one.is_used_up and one.is_open(now)]
    return list(nodes.values()), named, read_all(reports)


def _row(one: EnrolledNode | OpenInvite, state: str, seen: Seen | None) -> Row:
    name = one.node if isinstance(one, OpenInvite) else one.name
    age = ago(SystemClock().now(), seen.at if seen else None)
    follows = ", ".join(seen.report.follows if seen else ())
    certificates = "all" if "*" in one.lineages else ", ".join(one.lineages)
    return Row((name, state, age, follows, "yes" if one.answers else "no", certificates))


def _node(one: EnrolledNode, seen: Seen | None) -> dict[str, Any]:
    keys = {"signing_key": one.signing_key, "sealing_key": one.sealing_key}
    since = {"enrolled_at": one.enrolled_at.isoformat(), "is_ephemeral": one.is_ephemeral, "invite": one.invite or None}
    heard = {"seen_at": seen.at.isoformat() if seen else None, "follows": list(seen.report.follows) if seen else []}
    return {"name": one.name, **keys, **_rights(one), **since, **heard}


def _invite(one: OpenInvite) -> dict[str, Any]:
    return {"node": one.node, **_rights(one), "expires_at": one.expires_at.isoformat()}


def _rights(one: EnrolledNode | OpenInvite) -> dict[str, Any]:
    return {"certificates": list(one.lineages), "answers": one.answers}
