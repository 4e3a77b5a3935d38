"""The command `wellkeeper-responder`: settings from options and environment, signals, exit status."""

import asyncio
import errno
import gc
import logging
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click

from wellkeeper_client import streams, wire
from wellkeeper_responder.app import Responder
from wellkeeper_responder.capacity import Limits, limits_for, wanted_files
from wellkeeper_responder.clock import SystemClock
from wellkeeper_responder.health import is_healthy
from wellkeeper_responder.listeners import ListenError
from wellkeeper_responder.logs import set_up
from wellkeeper_responder.settings import (
    DEFAULT_CONTROL,
    DEFAULT_MAX_TOKENS,
    DEFAULT_PUBLIC,
    WHERE_FROM,
    Address,
    Settings,
    check_addresses,
    parse_address,
    parse_mode,
    parse_publishing_key,
    parse_thumbprint,
)

_log = logging.getLogger(__name__)

_T = TypeVar("_T")
# Accepting pauses for a second each time that no file can be opened.
_REPORT_SECONDS: Final = 60.0
_OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def _each(parse: Callable[[str], _T]) -> Callable[[click.Context, click.Parameter, Sequence[str]], tuple[_T, ...]]:
    """Return a callback that parses every value of an option and turns ValueError into a usage error."""

    def convert(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> tuple[_T, ...]:
        try:
            return tuple(parse(value) for value in values)
        except ValueError as error:
            raise click.BadParameter(str(error), context, parameter) from error

    return convert


def _mode(context: click.Context, parameter: click.Parameter, value: str) -> int:
    return _each(parse_mode)(context, parameter, [value])[0]


@click.command(context_settings={"auto_envvar_prefix": "WELLKEEPER_RESPONDER", "max_content_width": 100})
@click.version_option(package_name="wellkeeper", prog_name="wellkeeper-responder")
@click.option(
    "--public",
    metavar="ADDRESS",
    callback=_each(parse_address),
    multiple=True,
    default=[DEFAULT_PUBLIC],
    show_default=True,
    help="Address for nginx, which relays the CA's requests: unix:PATH, HOST:PORT or [IPV6]:PORT.",
)
@click.option(
    "--control",
    metavar="ADDRESS",
    callback=_each(parse_address),
    multiple=True,
    default=[DEFAULT_CONTROL],
    show_default=True,
    help="Address for issuers, which publish tokens; it must differ from every public address.",
)
@click.option(
    "--public-mode",
    metavar="MODE",
    callback=_mode,
    default="0666",
    show_default=True,
    help="Mode of public unix sockets.",
)
@click.option(
    "--control-mode",
    metavar="MODE",
    callback=_mode,
    default="0660",
    show_default=True,
    help="Mode of control unix sockets.",
)
@click.option(
    "--publishing-key",
    "publishing_keys",
    metavar="KEY",
    callback=_each(parse_publishing_key),
    multiple=True,
    envvar="WELLKEEPER_RESPONDER_PUBLISHING_KEY",
    help="Accept messages signed with this key: base64url of the raw Ed25519 public key.",
)
@click.option(
    "--account-thumbprint",
    "account_thumbprints",
    metavar="THUMBPRINT",
    callback=_each(parse_thumbprint),
    multiple=True,
    envvar="WELLKEEPER_RESPONDER_ACCOUNT_THUMBPRINT",
    help="Answer for this ACME account: the RFC 7638 thumbprint of its key.",
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

    Serve only tokens that an issuer published with a known publishing key, for the given ACME accounts. --public,
    --control, --publishing-key and --account-thumbprint may be repeated. Each option can also be set by an environment
    variable, such as WELLKEEPER_RESPONDER_PUBLIC for --public, with several values separated by spaces.

    Exit status: 0 stopped on request, 1 cannot listen on an address, 2 invalid options.
    """
    if check_health:
        sys.exit(_check_health(options["control"]))
    settings = _settings(options)
    set_up(log_format)
    sys.exit(asyncio.run(_run(settings, _raise_file_limit(settings))))


def _settings(options: dict[str, Any]) -> Settings:
    missing = [
        flag
        for flag, name in {"--publishing-key": "publishing_keys", "--account-thumbprint": "account_thumbprints"}.items()
        if not options[name]
    ]
    if missing:
        raise click.UsageError(f"Missing {' and '.join(missing)}. {WHERE_FROM}")
    try:
        check_addresses(options["public"], options["control"])
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return Settings(**options)


def _check_health(control: Sequence[Address]) -> int:
    if asyncio.run(is_healthy(control[0])):
        return 0
    click.echo(f"no healthy responder at {control[0]}", err=True)
    return 1


def _raise_file_limit(settings: Settings) -> Limits:
    """Return the limits of connections, and raise the soft limit on files: the usual one (1024) is too low for them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    listeners = len(settings.public), len(settings.control)
    wanted = wanted_files(*listeners)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        _log.warning("the limit on open files is %d, too low for all connections; set LimitNOFILE=%d", hard, wanted)
        wanted = hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return limits_for(wanted, *listeners)


def _report_faults(loop: asyncio.AbstractEventLoop) -> None:
    """Log failures of the event loop; of those to accept connections, one per minute."""
    next_at = 0.0

    def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal next_at
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _OUT_OF_RESOURCES:
            loop.default_exception_handler(context)
        elif loop.time() >= next_at:
            next_at = loop.time() + _REPORT_SECONDS
            _log.error("cannot accept connections: %s; raise the limit on open files", error.strerror)

    loop.set_exception_handler(report)


async def _run(settings: Settings, limits: Limits) -> int:
    loop = asyncio.get_running_loop()
    _report_faults(loop)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with Responder(settings, SystemClock(), limits):
            # All objects so far stay alive; scanning them in each collection would delay answers by 60 ms.
            gc.freeze()
            await stop.wait()
    except ListenError as error:
        _log.error("%s", error)
        return 1
    return 0


def main() -> None:
    """Run the command of the process; its log may go nowhere without any harm."""
    streams.secure("wellkeeper-responder")
    command()


if __name__ == "__main__":
    main()
