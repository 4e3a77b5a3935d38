"""notify test: send a test to each target of notifications now, past the queue."""

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from wellkeeper_issuer.commands.terminal import errors, options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import HookError, SettingsError
from wellkeeper_issuer.messages import Message
from wellkeeper_issuer.ports.people import Target
from wellkeeper_issuer.records import Notice
from wellkeeper_issuer.settings import Settings

_ABOUT: Final = "'wellkeeper notify test' sent it, so notifications arrive"


@click.command()
@click.argument("target", required=False)
@options.config_option
@options.json_option
def test(target: str | None, config: Path | None, as_json: bool) -> None:
    """Send a test to TARGET, or to every target of notifications, and show who accepted it.

    Exit status: 0 all accepted it, 1 one did not, 2 no such target, invalid settings or usage.
    """
    settings = options.read(config, is_for_standbys=True)
    targets = _chosen(settings, target)
    failures = asyncio.run(_send(targets))
    if as_json:
        results = zip(targets, failures, strict=True)
        found = [{"name": one.name, "error": errors.to_json(error) if error else None} for one, error in results]
        print_json({"targets": found})
    else:
        for one, error in zip(targets, failures, strict=True):
            click.echo(f"{one.name}: {error or 'sent'}")
    if any(failures):
        click.get_current_context().exit(1)


def _chosen(settings: Settings, name: str | None) -> Sequence[Target]:
    from wellkeeper_issuer.assembly.notifications import make_targets

    targets = make_targets(settings)
    if not targets:
        remedy = "Add [[notifications.webhooks]] or [[notifications.mail]] to the settings (docs/notifications.md)."
        raise SettingsError("cannot send a test notification", "no target is configured", remedy)
    chosen = [one for one in targets if name in {None, one.name}]
    if not chosen:
        names = ", ".join(one.name for one in targets)
        raise SettingsError(f"no notification target is named {name!r}", "", f"Write one of {names}.")
    return chosen


async def _send(targets: Sequence[Target]) -> Sequence[HookError | None]:
    """Return what each one answered, in their order."""
    from wellkeeper_node.clock import SystemClock

    message = Message(secrets.token_hex(16), Notice.TEST, "", _ABOUT, SystemClock().now())

    async def send(target: Target) -> HookError | None:
        try:
            await target.send(message)
        except HookError as error:
            return error
        return None

    return await asyncio.gather(*map(send, targets))
