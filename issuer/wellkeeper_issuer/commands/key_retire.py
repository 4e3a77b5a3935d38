"""key retire: trust the former key no longer, once nothing signs with it and all nodes trust the current one."""

from pathlib import Path

import click

from wellkeeper_client.signing import key_id
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.key_holders import KeyKind, find_lacking
from wellkeeper_issuer.commands.key_kinds import SIGNING, TO_NODES, check_trusted, signing_key
from wellkeeper_issuer.commands.terminal import interrupts, options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.settings import Settings


@click.command()
@click.argument("kind", metavar="KIND", type=click.Choice(SIGNING))
@click.option("--force", is_flag=True, help="Retire it even if a node does not trust the current key.")
@options.config_option
@options.json_option
def retire(kind: str, config: Path | None, *, force: bool, as_json: bool) -> None:
    """Leave the former key of this KIND, publishing or fleet, out of the trust file from now on.

    Waits for no renewal: the daemon signs with the current key, and another command that is at work is an error.
    """
    settings = options.read(config)
    is_retired = interrupts.run(_retire(settings, KeyKind(kind), is_forced=force))
    if as_json:
        print_json({"kind": kind, "is_retired": is_retired})
    else:
        click.echo(f"The former {kind} key is retired.\n{TO_NODES}" if is_retired else f"No {kind} key is to retire.")


async def _retire(settings: Settings, kind: KeyKind, *, is_forced: bool) -> bool:
    """Return False without a former key. Raises SettingsError, PublishError, DaemonError and JournalError."""
    key = signing_key(settings, kind)
    if key.former is None:
        key.retire()  # what a switch that was interrupted has left
        return False
    if not is_forced:
        current = key_id(key.current.public_key())
        check_trusted(f"cannot retire the former {kind} key yet", await find_lacking(settings, kind, current))
    # A switch that was interrupted may not have reached the daemon.
    if await remote.ask(settings, {"command": "take keys"}) is not None:
        return key.retire()
    async with build.owned_state(settings, "key-retire"):
        return key.retire()
