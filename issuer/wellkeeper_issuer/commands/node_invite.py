"""node invite: print the line with which a node joins; without a daemon, wait here until it has joined."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_client.joining import Invite, Pins
from wellkeeper_issuer.assembly import build, fleets
from wellkeeper_issuer.assembly.invites import check_is_new, make_invite
from wellkeeper_issuer.commands import trust_file
from wellkeeper_issuer.commands.terminal import interrupts, options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.state.state import has_state
from wellkeeper_issuer.ports.fleet import OpenInvite
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.service.node_requests import INVITE, encode_invite
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.choice import choose
from wellkeeper_issuer.settings.values import parse_name
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.wording import format_time

_WAITS: Final = "No daemon runs, so this command waits until the node has joined. Ctrl-C ends it."


@click.command()
@click.argument("name", metavar="NAME")
@click.option(
    "--certificates",
    metavar="NAME[,NAME…]",
    help="Send the node only these certificates.  [default: all]",
)
@click.option("--no-answers", is_flag=True, help="The CA does not reach this node: do not wait for it to hold tokens.")
@click.option(
    "--relay",
    "relays",
    metavar="ADDRESS",
    multiple=True,
    help="Address that the node dials, such as https://relay.example.org; may be repeated.  [default: fleet.listen]",
)
@options.config_option
@options.json_option
def invite(name: str, config: Path | None, *, as_json: bool, **given: Any) -> None:  # noqa: ANN401
    """Print the line with which the node NAME joins: once, within an hour.

    The line is secret until it is used. Run 'wellkeeper-node join' on the node and paste it there. If a daemon runs, it
    lets the node join; otherwise this command waits for it.
    """
    settings = options.read(config)
    made, kept = _make(settings, name, given)

    def show() -> None:
        if as_json:
            print_json({"node": name, "invite": made.line, "expires_at": kept.expires_at.isoformat()})
        else:
            click.echo(_explain(made, kept.expires_at))

    interrupts.run(_offer(settings, kept, show, is_quiet=as_json))


def _make(settings: Settings, name: str, given: dict[str, Any]) -> tuple[Invite, OpenInvite]:
    parsed_name(name)
    lineages = chosen(settings, given["certificates"])
    if has_state(settings.state_dir):
        asyncio.run(_check_name(settings, name))
    answers, relays = not given["no_answers"], given["relays"]
    return make_invite(
        settings, _pins(settings), name, lineages=lineages, answers=answers, relays=relays, now=SystemClock().now()
    )


def parsed_name(name: str) -> str:
    """Raises BadParameter for what cannot be the name of a node."""
    try:
        return parse_name(name)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from error


def chosen(settings: Settings, names: str | None) -> tuple[str, ...]:
    """Return the certificates that `--certificates` names. Raises SettingsError for an unknown one."""
    wanted = [one.strip() for one in (names or "").split(",") if one.strip()]
    return tuple(one.name for one in choose(settings, wanted)) if wanted else ()


def _pins(settings: Settings) -> Pins:
    """Return what the node will trust: the keys of all CAs, and those that follow. Raises SettingsError."""
    wanted, _ = trust_file.wanted_trust(settings)
    if not wanted.fleet_keys:
        raise SettingsError("cannot invite a node", "there is no fleet key", "Run 'wellkeeper fleet listen ADDRESS'.")
    return Pins(wanted.account_thumbprints, wanted.publishing_keys, wanted.fleet_keys)


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
        async with fleets.fleet(settings, state, is_daemon=False) as fleet:
            show()
            if not is_quiet:
                click.echo(_WAITS, err=True)
            if fleet is not None:
                await fleet.until_joined(kept.id)
    if not is_quiet:
        click.echo(f"Node {kept.node} has joined.", err=True)


def _explain(made: Invite, expires_at: datetime) -> str:
    return (
        f"On {made.node}, run 'sudo wellkeeper-node join' and paste this line, which is secret until it is used, before"
        f" {format_time(expires_at)}:\n\n{made.line}\n"
    )
