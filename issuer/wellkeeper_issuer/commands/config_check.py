"""config check: report all mistakes in the settings, and in the files that they name."""

import json
from collections.abc import Iterator
from pathlib import Path

import click

from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.settings import Settings, settings_path
from wellkeeper_issuer.settings import check as check_values
from wellkeeper_issuer.settings.complaints import key_of
from wellkeeper_issuer.settings.files import Location, Sources, read_sources
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
    wrong = [_describe(sources, *one) for one in _named_files(settings) if _problem(one[1])]
    if wrong:
        raise SettingsError("\n".join(wrong))
    counts = {"certificates": len(settings.certificates), "cas": len(settings.all_cas()), "nodes": len(settings.nodes)}
    if as_json:
        click.echo(json.dumps({"schema_version": 1, **counts}, indent=2))
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


def _problem(path: Path) -> str:
    """Return why the file cannot be read; empty when it can."""
    try:
        with path.open("rb"):
            return ""
    except OSError as error:
        return error.strerror or type(error).__name__


def _describe(sources: Sources, location: Location, path: Path) -> str:
    key = key_of(sources.place(location)[1])
    return f"{sources.name_place(location)}: {key}: cannot read {path}: {_problem(path)}"
