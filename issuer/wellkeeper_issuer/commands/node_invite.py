"""node invite: print the line with which nodes join, or end it; without a daemon, wait here until one has joined."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_client import services
from wellkeeper_client.joining import Invite, Pins
from wellkeeper_issuer.assembly import build, fleets
from wellkeeper_issuer.assembly.invites import Offer, check_is_new, make_invite
from wellkeeper_issuer.assembly.notifications import send_waiting
from wellkeeper_issuer.commands import trust_file
from wellkeeper_issuer.commands.terminal import interrupts, options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.state.state import has_state
from wellkeeper_issuer.ports.fleet import OpenInvite, rights_of
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.service.node_requests import INVITE, REVOKE, encode_invite
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.choice import choose
from wellkeeper_issuer.settings.values import parse_name
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.happened import Happened, What
from wellkeeper_node.wording import counted, format_time

_WAITS: Final = "No daemon is running, so this command waits until the node has joined. Press Ctrl-C to stop."
_WAITS_FOR_DAEMON: Final = f"No daemon runs, so no node can join yet. {services.sentence('start', 'wellkeeper')}"
_MOST_USES: Final = 1000
_LONGEST: Final = timedelta(days=90)
_ALL: Final = "all"


def _lifetime(_context: click.Context, _parameter: click.Parameter, value: str) -> timedelta:
    """Parse hours or days. Raises BadParameter."""
    found = re.fullmatch("([0-9]{1,4})([hd])", value)
    lifetime = timedelta(**{"hours" if found[2] == "h" else "days": int(found[1])}) if found else timedelta()
    if not timedelta() < lifetime <= _LONGEST:
        raise click.BadParameter(f"{value!r} is not a time from 1h to {_LONGEST.days}d, such as 12h or 30d")
    return lifetime


@click.command()
@click.argument("name", metavar="[NAME]", required=False)
@click.option(
    "--certificates",
    metavar="NAME[,NAME…]",
    help="Send the node only these certificates, or all. Required with --uses.  [default: all]",
)
@click.option("--no-answers", is_flag=True, help="The CA does not reach this node: do not wait for it to hold tokens.")
@click.option(
    "--relay",
    "relays",
    metavar="ADDRESS",
    multiple=True,
    help="Address that the node dials, such as https://relay.example.org; repeatable.  [default: fleet.listen]",
)
@click.option(
    "--uses",
    type=click.IntRange(1, _MOST_USES),
    help="Without a NAME: let this many nodes join, which choose their own names.",
)
@click.option(
    "--for",
    "lifetime",
    metavar="TIME",
    default="1h",
    show_default=True,
    callback=_lifetime,
    help="How long the invite is valid, such as 12h or 30d.",
)
@click.option(
    "--ephemeral", is_flag=True, help="The nodes come and go: do not wait for them, and forget them after a day."
)
@click.option(
    "--revoke", metavar="ID", help="Revoke this invite: no other node can use it. Nodes that have joined stay."
)
@options.config_option
@options.json_option
def invite(name: str | None, config: Path | None, *, as_json: bool, revoke: str | None, **given: Any) -> None:  # noqa: ANN401
    """Print the line with which the node NAME joins: once, within an hour.

    The line is secret until it is used. Run 'wellkeeper-node join' on the node and paste it there. If a daemon runs, it
    lets the node join; otherwise this command waits for it.

    With --uses, it is for that many nodes, which choose their own names. Treat such a line like a private key: anyone
    who has it gets the certificates that it names. 'wellkeeper node invites' lists invites.
    """
    settings = options.read(config)
    if revoke is not None:
        if name is not None or given["uses"] is not None:
            raise click.UsageError("--revoke ID takes no other options")
        ended = interrupts.run(end_invite(settings, revoke))
        build.history(settings.state_dir).add(Happened(What.INVITE_REVOKED, ended.node or ended.id))
        print_json(_to_json(ended)) if as_json else click.echo(f"revoked {ended.id}")
        return
    made, kept = _make(settings, name, given)

    def show() -> None:
        build.history(settings.state_dir).add(_event(kept))
        if as_json:
            print_json(_to_json(kept, made.line))
        else:
            click.echo(_explain(made, kept))

    interrupts.run(_offer(settings, kept, show, is_quiet=as_json))


def _event(made: OpenInvite) -> Happened:
    details = {**rights_of(made), "until": format_time(made.expires_at)}
    if made.is_reusable:
        details |= {"uses": str(made.uses), "ephemeral": "yes" if made.is_ephemeral else "no"}
    return Happened(What.NODE_INVITED, made.node or made.id, details)


def _make(settings: Settings, name: str | None, given: dict[str, Any]) -> tuple[Invite, OpenInvite]:
    if (name is None) == (given["uses"] is None):
        raise click.UsageError("Name one node, or set with --uses how many nodes may join.")
    if name is not None:
        parsed_name(name)
    lineages = chosen(settings, given["certificates"])
    if name is None and not lineages and given["certificates"] != _ALL:
        raise click.UsageError(f"--uses needs --certificates: names, or '{_ALL}'.")
    if name is not None and has_state(settings.state_dir):
        asyncio.run(_check_name(settings, name))
    offer = Offer(
        name or "",
        lineages,
        not given["no_answers"],
        given["relays"],
        given["uses"] or 1,
        given["lifetime"],
        given["ephemeral"],
    )
    return make_invite(settings, pins(settings), offer, SystemClock().now())


def parsed_name(name: str) -> str:
    """Raises BadParameter for what cannot be the name of a node."""
    try:
        return parse_name(name)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from error


def chosen(settings: Settings, names: str | None) -> tuple[str, ...]:
    """Return the certificates that `--certificates` names; none for all. Raises SettingsError for an unknown one."""
    if names == _ALL and _ALL not in [one.name for one in settings.lineages()]:
        return ()
    wanted = [one.strip() for one in (names or "").split(",") if one.strip()]
    return tuple(one.name for one in choose(settings, wanted)) if wanted else ()


def pins(settings: Settings) -> Pins:
    """Return what the node will trust: the keys of all CAs, and those that follow. Raises SettingsError."""
    wanted, _ = trust_file.wanted_trust(settings)
    if not wanted.fleet_keys:
        raise SettingsError("cannot invite a node", "there is no fleet key", "Run 'wellkeeper fleet listen ADDRESS'.")
    return Pins(wanted.account_thumbprints, wanted.publishing_keys, wanted.fleet_keys, wanted.publishers)


async def _check_name(settings: Settings, name: str) -> None:
    async with build.state_to_read(settings) as state:
        check_is_new(name, await state.fleet.read_nodes())


async def _offer(settings: Settings, kept: OpenInvite, show: Callable[[], None], *, is_quiet: bool) -> None:
    """Hand the invite to the daemon; without one, let the node join here."""
    if await remote.ask(settings, {"command": INVITE, "invite": encode_invite(kept)}) is not None:
        show()
        return
    async with build.owned_state(settings, "node invite") as (state, _):
        await state.fleet.record_invite(kept)
        if kept.is_reusable:
            show()
            click.echo(_WAITS_FOR_DAEMON, err=True)
            return
        async with fleets.fleet(settings, state, is_daemon=False) as fleet:
            show()
            if not is_quiet:
                click.echo(_WAITS, err=True)
            if fleet is not None:
                await fleet.until_joined(kept.id)
        await send_waiting(settings, state.outbox)
    if not is_quiet:
        click.echo(f"Node {kept.node} has joined.", err=True)


async def end_invite(settings: Settings, invite: str) -> OpenInvite:
    """Revoke the invite with this id, and return it. Raises SettingsError for an unknown one."""
    async with build.state_to_read(settings) as state:
        found = (await state.fleet.read_invites()).get(invite)
    if found is None:
        why, remedy = "there is no such invite, or it has expired", "Run 'wellkeeper node invites' for their ids."
        raise SettingsError(f"cannot revoke invite {invite!r}", why, remedy)
    now = SystemClock().now()
    if await remote.ask(settings, {"command": REVOKE, "invite": invite}) is None:
        async with build.owned_state(settings, "node invite") as (state, _):
            await state.fleet.revoke_invite(invite, now)
    return replace(found, revoked_at=found.revoked_at or now)


def _explain(made: Invite, kept: OpenInvite) -> str:
    until = format_time(kept.expires_at)
    if kept.is_reusable:
        return (
            f"On each node, run 'sudo wellkeeper-node join' and paste this line, before {until}. It is good for"
            f" {counted(kept.uses, 'node')}, so treat it like a private key. To end it: sudo wellkeeper node invite"
            f" --revoke {kept.id}\n\n{made.line}\n"
        )
    return (
        f"On {made.node}, run 'sudo wellkeeper-node join' and paste this line, which is secret until it is used, before"
        f" {until}:\n\n{made.line}\n"
    )


def _to_json(kept: OpenInvite, line: str | None = None) -> dict[str, Any]:
    return {
        "id": kept.id,
        "node": kept.node or None,
        "invite": line,
        "uses": kept.uses,
        "is_ephemeral": kept.is_ephemeral,
        "expires_at": kept.expires_at.isoformat(),
        "revoked_at": kept.revoked_at.isoformat() if kept.revoked_at else None,
    }
