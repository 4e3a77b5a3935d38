"""placeholder: install a short-lived self-signed pair for each certificate that has none, so that nginx can start."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.choice import choose
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.certificates.placeholders import make_self_signed
from wellkeeper_node.deliver.install import install

_DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class Placeholders:
    """The new placeholders; certificates in `external_keys` get none, because their keys are elsewhere."""

    made: Sequence[str]
    external_keys: Sequence[str]
    folders: CertificateFolders

    def to_json(self) -> dict[str, Any]:
        made = [{"name": name, "live_path": self.folders.live_path(name)} for name in self.made]
        return {"made": made, "external_keys": list(self.external_keys), "days": _DAYS}

    def to_text(self) -> str:
        lines = [
            f"{name}: no placeholder, because its key is elsewhere (csr). Leave its server block on 443 out of nginx"
            " until the first certificate is installed; port 80 is enough to obtain it."
            for name in self.external_keys
        ]
        lines += [f"{name}: placeholder for {_DAYS} days in {self.folders.live_path(name)}" for name in self.made]
        return "\n".join(lines) or "No placeholder is needed: every certificate is installed."


@click.command()
@options.names_argument
@options.config_option
@options.json_option
def placeholder(names: tuple[str, ...], config: Path | None, *, as_json: bool) -> None:
    """Create a self-signed pair for those of the certificates NAME… (or of all) that have none yet."""
    made = make_placeholders(options.read(config), names)
    if as_json:
        print_json(made.to_json())
    else:
        click.echo(made.to_text())


def make_placeholders(settings: Settings, names: Sequence[str]) -> Placeholders:
    """Install a placeholder for each of these certificates (or of all) that is not installed. Idempotent."""
    folders, chosen = build.certificates(settings), choose(settings, names)
    made = asyncio.run(_make([lineage for lineage in chosen if not lineage.csr_path], folders))
    return Placeholders(made, [lineage.name for lineage in chosen if lineage.csr_path], folders)


async def _make(lineages: Sequence[Lineage], folders: CertificateFolders) -> list[str]:
    made = []
    for lineage in lineages:
        if await folders.installed(lineage.name) is None:
            await install(lineage.name, make_self_signed(lineage.identifiers, _DAYS, datetime.now(UTC)), folders)
            made.append(lineage.name)
    return made
