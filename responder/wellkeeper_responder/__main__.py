"""The command `wellkeeper-responder`: settings from options and environment, exit status."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click

from wellkeeper_client import health, streams, wire, working_directory
from wellkeeper_client.trust_file import Trust
from wellkeeper_responder import service
from wellkeeper_responder.holds import MAX_SECONDS
from wellkeeper_responder.logs import set_up
from wellkeeper_responder.options import each, one
from wellkeeper_responder.settings import (
    DEFAULT_MAX_TOKENS,
    DEFAULT_PUBLIC,
    WHERE_FROM,
    Settings,
    check_addresses,
    parse_address,
    parse_mode,
    parse_publishing_key,
    parse_thumbprint,
)
from wellkeeper_responder.start import DEFAULT_CONTROL


@click.command(context_settings={"auto_envvar_prefix": "WELLKEEPER_RESPONDER", "max_content_width": 100})
@click.version_option(package_name="wellkeeper", prog_name="wellkeeper-responder")
@click.option(
    "--public",
    metavar="ADDRESS",
    callback=each(parse_address),
    multiple=True,
    default=[DEFAULT_PUBLIC],
    show_default=True,
    help="Address for nginx, which relays the CA's requests: unix:PATH, HOST:PORT or [IPV6]:PORT.",
)
@click.option(
    "--control",
    metavar="ADDRESS",
    callback=each(parse_address),
    multiple=True,
    default=[DEFAULT_CONTROL],
    show_default=True,
    help="Address for issuers, which publish tokens; it must differ from every public address.",
)
@click.option(
    "--public-mode",
    metavar="MODE",
    callback=one(parse_mode),
    default="0666",
    show_default=True,
    help="Mode of public unix sockets.",
)
@click.option(
    "--control-mode",
    metavar="MODE",
    callback=one(parse_mode),
    default="0660",
    show_default=True,
    help="Mode of control unix sockets.",
)
@click.option(
    "--trust",
    "trust_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="WELLKEEPER_RESPONDER_TRUST",
    help="The trust file, which 'wellkeeper trust --write' writes. It may appear and change later.",
)
@click.option(
    "--trust-owner",
    metavar="UID",
    type=click.IntRange(min=0),
    help="Also accept a trust file of this user: in containers, the issuer. [default: root's and the responder's own]",
)
@click.option(
    "--publishing-key",
    "publishing_keys",
    metavar="KEY",
    callback=each(parse_publishing_key),
    multiple=True,
    envvar="WELLKEEPER_RESPONDER_PUBLISHING_KEY",
    help="Accept messages signed with this key, too: base64url of the raw Ed25519 public key.",
)
@click.option(
    "--account-thumbprint",
    "account_thumbprints",
    metavar="THUMBPRINT",
    callback=each(parse_thumbprint),
    multiple=True,
    envvar="WELLKEEPER_RESPONDER_ACCOUNT_THUMBPRINT",
    help="Answer for this ACME account, too: the RFC 7638 thumbprint of its key.",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(1, 1_000_000),
    default=DEFAULT_MAX_TOKENS,
    show_default=True,
    help="Maximum number of tokens that are published at the same time.",
)
@click.option(
    "--max-lifetime-seconds",
    type=click.IntRange(1, wire.MAX_LIFETIME_SECONDS),
    default=wire.MAX_LIFETIME_SECONDS,
    show_default=True,
    help="Maximum lifetime of a publication.",
)
@click.option(
    "--hold-unknown-seconds",
    type=click.FloatRange(0, MAX_SECONDS),
    default=0,
    show_default=True,
    help="Let requests for unknown tokens wait this long for a publication, for clients that ask the CA too early.",
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
    help="Check the responder at the first control address; exit with 0 if it is healthy, else with 1.",
)
def command(*, log_format: str, check_health: bool, **options: Any) -> None:  # noqa: ANN401 - what the callbacks made
    """Answer ACME http-01 challenges behind nginx, from memory.

    Serve only tokens that an issuer published with a known publishing key, for known ACME accounts: those in the trust
    file and those given as options. A SIGHUP reads the trust file at once. --public, --control, --publishing-key and
    --account-thumbprint may be repeated. Each option can also be set by an environment variable, such as
    WELLKEEPER_RESPONDER_PUBLIC for --public, with several values separated by spaces.

    Exit status: 0 stopped on request, 1 cannot listen on an address, 2 invalid options.
    """
    if check_health:
        sys.exit(health.check("responder", str(options["control"][0])))
    trust_path = options.pop("trust_path")
    if trust_path and not trust_path.is_absolute() and working_directory.is_deleted():
        raise click.UsageError(working_directory.MESSAGE)
    settings = _settings(options, has_trust_file=trust_path is not None)
    set_up(log_format)
    sys.exit(asyncio.run(service.run(settings, trust_path.absolute() if trust_path else None)))


def _settings(options: dict[str, Any], *, has_trust_file: bool) -> Settings:
    trust = Trust(options.pop("account_thumbprints"), options.pop("publishing_keys"))
    if not has_trust_file and not (trust.account_thumbprints and trust.publishing_keys):
        raise click.UsageError(f"Missing --trust, or --publishing-key and --account-thumbprint. {WHERE_FROM}")
    try:
        check_addresses(options["public"], options["control"])
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return Settings(trust=trust, **options)


def main() -> None:
    """Run the command of the process; its log may go nowhere without any harm."""
    streams.secure("wellkeeper-responder")
    command()


if __name__ == "__main__":
    main()
