"""key retire: trust the former key no longer, once nothing signs with it and all nodes trust the current one."""

from pathlib import Path
from typing import Final

import click

from wellkeeper_client.signing import key_id
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.key_holders import KeyKind, find_lacking
from wellkeeper_issuer.commands.key_kinds import SIGNING, TO_NODES, check_trusted, signing_key
from wellkeeper_issuer.commands.terminal import interrupts, options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import PublishError
from wellkeeper_node.happened import Happened, What

# A daemon signs once its relay has answered, or has not for ten seconds.
_SIGNED_SECONDS: Final = 60.0


@click.command()
@click.argument("kind", metavar="KIND", type=click.Choice(SIGNING))
@click.option("--force", is_flag=True, help="Retire it even if a node does not trust the current key.")
@options.config_option
@options.json_option
def retire(kind: str, config: Path | None, *, force: bool, as_json: bool) -> None:
    """Remove the former key of this KIND, publishing or fleet, from the trust file.

    Does not wait for renewals: the daemon signs with the current key. It is an error if another command is running.
    """
    settings = options.read(config)
    is_retired = interrupts.run(_retire(settings, KeyKind(kind), is_forced=force))
    if is_retired:
        build.history(settings.state_dir).add(Happened(What.KEY_RETIRED, kind))
    if as_json:
        print_json({"kind": kind, "is_retired": is_retired})
    else:
        click.echo(
            f"The former {kind} key is retired.\n{TO_NODES}"
            if is_retired
            else f"There is no former {kind} key to retire."
        )


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
        await _check_manifest(settings, kind, _SIGNED_SECONDS, is_forced=is_forced)
        return key.retire()
    async with build.owned_state(settings, "key-retire"):
        await _check_manifest(settings, kind, 0, is_forced=is_forced)
        return key.retire()


async def _check_manifest(settings: Settings, kind: KeyKind, seconds: float, *, is_forced: bool) -> None:
    """Raise PublishError if the issuer could not read the manifest in force without the former key."""
    if kind is not KeyKind.FLEET or is_forced:
        return
    from wellkeeper_issuer.assembly import fleets
    from wellkeeper_issuer.assembly.manifest_signer import is_signed_by

    current = FleetKeys(settings.state_dir).current.public_key()
    if not await is_signed_by(current, fleets.disk(settings).manifests, SystemClock(), seconds):
        raise PublishError(
            "cannot retire the former fleet key yet",
            "it has signed the last manifest",
            "Run 'wellkeeper renew', which signs a new one, then repeat this command; or repeat it with --force.",
        )
