"""node add: enrol a node by its public line, without an invite; configuration management gives it the rest."""

import asyncio
from dataclasses import replace
from pathlib import Path

import click

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.invites import check_is_new
from wellkeeper_issuer.commands.node_invite import chosen, parsed_name
from wellkeeper_issuer.commands.terminal import interrupts, options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.outside.state.state import has_state
from wellkeeper_issuer.ports.fleet import EnrolledNode, rights_of
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.service.node_requests import ADD, encode_node
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.agent.keys import parse_line
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.happened import Happened, What


@click.command()
@click.argument("name", metavar="NAME")
@click.argument("line", metavar="LINE")
@click.option("--certificates", metavar="NAME[,NAME…]", help="Send the node only these certificates.  [default: all]")
@click.option("--no-answers", is_flag=True, help="The CA does not reach this node: do not wait for it to hold tokens.")
@options.config_option
@options.json_option
def add(  # noqa: PLR0913 - the options
    name: str, line: str, config: Path | None, *, certificates: str | None, no_answers: bool, as_json: bool
) -> None:
    """Enrol the node NAME by its public LINE, which 'wellkeeper-node init' prints there.

    You can repeat this, even with other options. The node also needs node.toml with its name and relays, and trust.toml
    with the values of 'wellkeeper trust --json'.
    """
    settings = options.read(config)
    try:
        public = parse_line(line)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="LINE") from error
    lineages = chosen(settings, certificates) or ("*",)
    node = EnrolledNode(parsed_name(name), *public.texts, lineages, not no_answers, SystemClock().now())
    known = asyncio.run(_known(settings, node))
    node = replace(known, lineages=lineages, answers=node.answers) if known else node
    if node != known:
        interrupts.run(_record(settings, node))
        build.history(settings.state_dir).add(
            Happened(What.NODE_ADDED, name, rights_of(node) | {"key": node.signing_key})
        )
    if as_json:
        found = {"name": name, "certificates": list(lineages), "answers": node.answers}
        print_json({**found, "is_new": known is None, "is_changed": node != known})
    else:
        kept = f"kept {name}, which was enrolled already"
        click.echo(kept if node == known else f"{'changed' if known else 'added'} {name}")


async def _known(settings: Settings, node: EnrolledNode) -> EnrolledNode | None:
    """Return the node as it is enrolled. Raises SettingsError if another one has its name or a key of it."""
    if not has_state(settings.state_dir):
        return None
    async with build.state_to_read(settings) as state:
        nodes = await state.fleet.read_nodes()
    known = nodes.get(node.name)
    if known is not None and (known.signing_key, known.sealing_key) == (node.signing_key, node.sealing_key):
        return known
    check_is_new(node.name, nodes, node.signing_key, node.sealing_key)
    return None


async def _record(settings: Settings, node: EnrolledNode) -> None:
    if await remote.ask(settings, {"command": ADD, "node": encode_node(node)}) is None:
        async with build.owned_state(settings, "node add") as (state, _):
            await state.fleet.record_node(node)
