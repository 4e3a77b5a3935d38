"""list: the certificates of the settings, one a line."""

import asyncio
from pathlib import Path
from typing import Any

import click

from wellkeeper_issuer import idn
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.outdated import warn_if_outdated
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.status import overview
from wellkeeper_issuer.status.overview import Shown


@click.command("list")
@options.config_option
@options.json_option
def list_certificates(config: Path | None, as_json: bool) -> None:
    """List the certificates: names, CAs in order of preference, key type, expiry."""
    settings = options.read(config)
    seen = asyncio.run(overview.look(settings, settings.lineages()))
    found = [_describe(settings, one) for one in seen.shown]
    is_outdated = warn_if_outdated(settings, config)
    if as_json:
        print_json({"certificates": found, "is_reload_needed": is_outdated})
    elif found:
        click.echo("\n".join(_line(one) for one in found))
    else:
        click.echo("the settings name no certificate; 'wellkeeper certificate add' adds one")


def _describe(settings: Settings, one: Shown) -> dict[str, Any]:
    lineage = one.lineage
    return {
        "name": lineage.name,
        "identifiers": [str(identifier) for identifier in lineage.identifiers],
        "cas": [settings.find_ca(url).name for url in lineage.directory_urls],
        "key_type": lineage.key_type.value,
        "not_after": one.not_after.isoformat() if one.not_after else None,
    }


def _line(one: dict[str, Any]) -> str:
    until = f"until {one['not_after'][:10]}" if one["not_after"] else "not there yet"
    names = ", ".join(idn.describe(name) for name in one["identifiers"])
    return f"{one['name']}: {names}; {', '.join(one['cas'])}; {one['key_type']}; {until}"
