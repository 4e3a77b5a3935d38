"""placeholder: install a short-lived self-signed pair for each certificate that has none, so that nginx can start."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from wellkeeper_issuer import pki
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.settings.choice import choose
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.deliver.install import install

_DAYS: Final = 7


@click.command()
@click.argument("names", nargs=-1, type=options.lineage_name)
@options.config_option
def placeholder(names: tuple[str, ...], config: Path | None) -> None:
    """Create a self-signed certificate for each NAME (or all) that has none, so that nginx can start."""
    settings = options.read(config)
    folders = build.certificates(settings)
    chosen = choose(settings, names)
    keyless = [lineage for lineage in chosen if lineage.csr_path]
    for lineage in keyless:
        click.echo(
            f"{lineage.name}: no placeholder without its key, which is elsewhere; leave its server block on 443 out of"
            " nginx until the first certificate is there: port 80 is all that it takes"
        )
    made = asyncio.run(_make([lineage for lineage in chosen if not lineage.csr_path], folders))
    for name in made:
        click.echo(f"{name}: placeholder for {_DAYS} days in {folders.live_path(name)}")
    if not (made or keyless):
        click.echo("no placeholder is needed: every certificate is there")


async def _make(lineages: Sequence[Lineage], folders: CertificateFolders) -> list[str]:
    made = []
    for lineage in lineages:
        if await folders.installed(lineage.name) is None:
            await install(lineage.name, pki.make_self_signed(lineage.identifiers, _DAYS, datetime.now(UTC)), folders)
            made.append(lineage.name)
    return made
