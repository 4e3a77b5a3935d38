"""config check: report all mistakes in the settings, and in the files that they name."""

from collections.abc import Iterator
from pathlib import Path

import click

from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.outdated import warn_if_outdated
from wellkeeper_issuer.doctor.settings import unreadable_files
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.location import settings_path
from wellkeeper_issuer.settings import check as check_values
from wellkeeper_issuer.settings.files import read_sources
from wellkeeper_node.wording import counted


@click.command()
@options.config_option
@options.json_option
def check(config: Path | None, as_json: bool) -> None:
    """Check the settings and the files that they name, without network access.

    Exit status: 0 no mistakes, 2 mistakes or usage.
    """
    sources = read_sources(settings_path(config))
    settings = check_values(sources)
    if unreadable := list(unreadable_files(sources, settings)):
        raise SettingsError("\n".join(unreadable))
    counts = {"certificates": len(settings.certificates), "cas": len(settings.all_cas()), "nodes": len(settings.nodes)}
    is_outdated = warn_if_outdated(settings, config)
    if as_json:
        print_json({**counts, "is_reload_needed": is_outdated})
    else:
        click.echo(f"OK: {', '.join(counted(number, kind) for kind, number in _kinds(counts))}")


def _kinds(counts: dict[str, int]) -> Iterator[tuple[str, int]]:
    yield from zip(("certificate", "CA", "node"), counts.values(), strict=True)
