"""config check: report all mistakes in the settings, and in the files that they name."""

import os
from collections.abc import Iterator
from pathlib import Path

import click

from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.outdated import warn_if_outdated
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.location import settings_path
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings import check as check_values
from wellkeeper_issuer.settings.complaints import key_of
from wellkeeper_issuer.settings.files import Location, Sources, read_sources
from wellkeeper_node import rights
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
    if unreadable := list(_unreadable(sources, settings)):
        raise SettingsError("\n".join(unreadable))
    counts = {"certificates": len(settings.certificates), "cas": len(settings.all_cas()), "nodes": len(settings.nodes)}
    is_outdated = warn_if_outdated(settings, config)
    if as_json:
        print_json({**counts, "is_reload_needed": is_outdated})
    else:
        click.echo(f"OK: {', '.join(counted(number, kind) for kind, number in _kinds(counts))}")


def _kinds(counts: dict[str, int]) -> Iterator[tuple[str, int]]:
    yield from zip(("certificate", "CA", "node"), counts.values(), strict=True)


def _named_files(settings: Settings) -> Iterator[tuple[Location, Path]]:
    """Yield each file that must exist, with the location of its key."""
    if settings.ca_bundle:
        yield ("ca_bundle",), settings.ca_bundle
    for index, ca in enumerate(settings.cas):
        for key, path in (("bundle", ca.bundle), ("eab_hmac_key_file", ca.eab_hmac_key_file)):
            if path:
                yield ("cas", index, key), path
    for index, certificate in enumerate(settings.certificates):
        if certificate.csr:
            yield ("certificates", index, "csr"), certificate.csr


def _unreadable(sources: Sources, settings: Settings) -> Iterator[str]:
    """Yield one sentence for each named file that cannot be read."""
    for location, path in _named_files(settings):
        try:
            os.close(rights.open_file(path, follows_link=True))
        except (OSError, ValueError) as error:
            key, why = key_of(sources.place(location)[1]), getattr(error, "strerror", None) or error
            yield f"{sources.name_place(location)}: {key}: cannot read {path}: {why}"
