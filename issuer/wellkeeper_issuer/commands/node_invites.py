"""node invites: who may join, and who has joined with which invite."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_client.joining import parse_pins
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands.node_invite import pins
from wellkeeper_issuer.commands.terminal import options, screen
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.screen import Row
from wellkeeper_issuer.commands.terminal.table import print_table
from wellkeeper_issuer.ports.fleet import OpenInvite
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.wording import format_time

_TITLES: Final = ("INVITE", "FOR", "USES LEFT", "UNTIL", "CERTIFICATES", "EPHEMERAL", "JOINED")


@click.command()
@options.config_option
@options.json_option
def invites(config: Path | None, *, as_json: bool) -> None:
    """List the invites that have not expired, and the nodes that joined with each.

    'outdated' means that the keys or CAs changed since: nodes that join with it do not trust the new ones, or are
    refused. Revoke it, and print another one.
    """
    settings = options.read(config, is_for_standbys=True)
    found, joined = asyncio.run(_read(settings))
    digest = pins(settings).digest if found else ""
    current = {one.id for one in found if parse_pins(json.loads(one.terms)["pins"]).digest == digest}
    if as_json:
        print_json({"invites": [_to_json(one, joined[one.id], is_current=one.id in current) for one in found]})
    elif found:
        rows = [_row(one, joined[one.id], is_current=one.id in current) for one in found]
        print_table(_TITLES, rows, name_column=0, cuts_last=False)
    else:
        screen.print_lines(["no invites are open", "Next: sudo wellkeeper node invite NAME"])


async def _read(settings: Settings) -> tuple[Sequence[OpenInvite], Mapping[str, Sequence[str]]]:
    """Return the invites, and by their ids the names of the nodes that used them."""
    now = SystemClock().now()
    async with build.state_to_read(settings) as state:
        nodes, kept = await state.fleet.read_nodes(), await state.fleet.read_invites()
    found = [one for one in kept.values() if now < one.expires_at]
    return found, {one.id: [node.name for node in nodes.values() if node.invite == one.id] for one in found}


def _row(one: OpenInvite, joined: Sequence[str], *, is_current: bool) -> Row:
    left = "revoked" if one.revoked_at else f"{one.uses - len(one.used_by)} of {one.uses}"
    cells = (
        one.id,
        one.node or "any",
        left if is_current or one.revoked_at else f"{left}, outdated",
        format_time(one.expires_at),
        "all" if "*" in one.lineages else ", ".join(one.lineages),
        "yes" if one.is_ephemeral else "no",
        ", ".join(joined) or "-",
    )
    return Row(cells)


def _to_json(one: OpenInvite, joined: Sequence[str], *, is_current: bool) -> dict[str, Any]:
    return {
        "id": one.id,
        "node": one.node or None,
        "uses": one.uses,
        "used": len(one.used_by),
        "certificates": list(one.lineages),
        "answers": one.answers,
        "is_ephemeral": one.is_ephemeral,
        "is_current": is_current,
        "created_at": one.created_at.isoformat(),
        "expires_at": one.expires_at.isoformat(),
        "revoked_at": one.revoked_at.isoformat() if one.revoked_at else None,
        "joined": list(joined),
    }
