"""The command `wellkeeper-relay`: settings from options and environment, exit status."""

import asyncio
import sys
from typing import Any

import click

from wellkeeper_client import health, streams
from wellkeeper_relay import service
from wellkeeper_relay.settings import (
    DEFAULT_MAX_MEBIBYTES,
    MEBIBYTE,
    Settings,
    parse_fleet_key,
    parse_issuer_address,
    parse_nodes_address,
)
from wellkeeper_relay.start import DEFAULT_ISSUER
from wellkeeper_responder.logs import set_up
from wellkeeper_responder.options import each, one
from wellkeeper_responder.settings import check_addresses, parse_mode


@click.command(context_settings={"auto_envvar_prefix": "WELLKEEPER_RELAY", "max_content_width": 100})
@click.version_option(package_name="wellkeeper", prog_name="wellkeeper-relay")
@click.option(
    "--nodes",
    metavar="ADDRESS",
    callback=each(parse_nodes_address),
    multiple=True,
    help="Address that nodes dial: a private IPV4:PORT or [IPV6]:PORT, the NAME:PORT of one, or unix:PATH behind TLS.",
)
@click.option(
    "--fleet-key",
    "fleet_keys",
    metavar="KEY",
    callback=each(parse_fleet_key),
    multiple=True,
    envvar="WELLKEEPER_RELAY_FLEET_KEY",
    help="Store records signed with this key: base64url of the raw Ed25519 public key.",
)
@click.option(
    "--issuer",
    metavar="ADDRESS",
    callback=one(parse_issuer_address),
    default=DEFAULT_ISSUER,
    show_default=True,
    help="Unix socket for the issuer, which feeds the relay.",
)
@click.option(
    "--nodes-mode",
    metavar="MODE",
    callback=one(parse_mode),
    default="0666",
    show_default=True,
    help="Mode of unix sockets for nodes.",
)
@click.option(
    "--issuer-mode",
    metavar="MODE",
    callback=one(parse_mode),
    default="0660",
    show_default=True,
    help="Mode of the issuer's socket.",
)
@click.option(
    "--max-mebibytes",
    type=click.IntRange(1, 65_536),
    default=DEFAULT_MAX_MEBIBYTES,
    show_default=True,
    help="Maximum memory for records.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Format of the log on standard error.",
)
@click.option(
    "--check-health",
    is_flag=True,
    help="Check the relay at the issuer's address; exit with 0 if it is healthy, else with 1.",
)
def command(*, log_format: str, check_health: bool, **options: Any) -> None:  # noqa: ANN401 - what the callbacks made
    """Pass records from the issuer to the nodes of a fleet, from memory.

    All records are signed, and secret ones are sealed: the relay has no secrets and can forge nothing. After a
    restart the issuer fills it again. --nodes and --fleet-key may be repeated. Each option can also be set by an
    environment variable, such as WELLKEEPER_RELAY_NODES for --nodes, with several values separated by spaces.

    Exit status: 0 stopped on request, 1 cannot listen on an address, 2 invalid options.
    """
    if check_health:
        sys.exit(health.check("relay", str(options["issuer"])))
    settings = _settings(options)
    set_up(log_format)
    sys.exit(asyncio.run(service.run(settings)))


def _settings(options: dict[str, Any]) -> Settings:
    missing = [name for name in ("nodes", "fleet_keys") if not options[name]]
    if missing:
        raise click.UsageError("Missing --nodes or --fleet-key: a relay needs at least one of each.")
    try:
        check_addresses(options["nodes"], (options["issuer"],))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return Settings(max_bytes=options.pop("max_mebibytes") * MEBIBYTE, **options)


def main() -> None:
    """Run the command of the process; its log may go nowhere without any harm."""
    streams.secure("wellkeeper-relay")
    command()


if __name__ == "__main__":
    main()
