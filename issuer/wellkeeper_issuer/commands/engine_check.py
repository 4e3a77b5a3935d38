"""engine check: try what issuer and nodes do with the engine, and what its users must not do."""

from pathlib import Path

import click

from wellkeeper_issuer.assembly import engines
from wellkeeper_issuer.assembly.engine_checks import check_engine
from wellkeeper_issuer.commands.terminal import findings, interrupts, options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.options import Verbosity
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.values import parse_engine_address
from wellkeeper_node.findings import Verdict, worst
from wellkeeper_node.records.engine import EngineAddress, parse_engine


@click.command()
@click.argument("url", required=False)
@options.config_option
@options.json_option
def check(url: str | None, config: Path | None, *, as_json: bool) -> None:
    """Try the engine at URL, by default that of the settings: connection, lease, follow, rights, memory, replicas.

    It writes two records, which it deletes again. Exit status: 0 nothing failed, 1 a check failed, 2 usage or settings.
    """
    settings = options.read(config, is_for_standbys=True)
    found = interrupts.run(check_engine(settings, address_of(settings, url)))
    if as_json:
        print_json(findings.to_json(found))
    else:
        findings.show(found, Verbosity.VERBOSE)
    if worst(found) is Verdict.FAIL:
        click.get_current_context().exit(1)


def address_of(settings: Settings, url: str | None) -> EngineAddress:
    """Return the address of this URL, or of the settings. Raises SettingsError."""
    return engines.required_address(settings) if url is None else parse_url(url)


def parse_url(url: str) -> EngineAddress:
    """Return the address. Raises SettingsError."""
    try:
        return parse_engine(parse_engine_address(url))
    except ValueError as error:
        raise SettingsError("cannot use the engine", str(error)) from error
