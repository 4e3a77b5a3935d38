"""The command `wellkeeper-publish`: publish, withdraw, or watch a webroot, for any ACME client on this host."""

import argparse
import importlib
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Never, TextIO

from wellkeeper_client import publisher, streams, wire
from wellkeeper_client.publish import ResponderControl
from wellkeeper_client.publisher import Publisher, PublisherError
from wellkeeper_client.systemd import Systemd
from wellkeeper_client.webroot_watch import WebrootWatch

_PROGRAM: Final = "wellkeeper-publish"
_ABOUT: Final = """\
Publish the token of an ACME http-01 challenge at this host's responder, for any ACME client.

  wellkeeper-publish NAME KEY_AUTHORIZATION    publish; return when nginx serves the token for NAME
  wellkeeper-publish --withdraw TOKEN          withdraw; also succeeds if nothing is published
  wellkeeper-publish --watch DIR [NAME]        publish what a client writes into the webroot DIR, until SIGTERM

A token that is not withdrawn expires after ten minutes; with --watch, after an hour.
A publisher's key needs NAME with --watch.
"""
_STATUSES: Final = "Exit status: 0 done, 1 refused, not served or not withdrawn: do not ask the CA, 2 usage."
# A name that http-01 can validate, or an IP address.
_NAME: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,252})|[0-9a-f:.]{2,45}")
# A key authorization, with a line end.
_LONGEST_INPUT: Final = 1024


def run(arguments: Sequence[str], stdin: TextIO, now: Callable[[], float] = time.time) -> int:
    """Return the exit status; explain a failure on standard error. Raises SystemExit for wrong usage."""
    parser = _parser()
    given = parser.parse_args(publisher.shield(arguments))
    try:
        _check(given, stdin)
    except ValueError as error:
        parser.error(str(error))
    try:
        _work(given, now)
    except PublisherError as error:
        sys.stderr.write(f"{_PROGRAM}: " + "\n  ".join(error.lines) + "\n")
        return 1
    return 0


def main() -> None:
    """Run the command of the process."""
    streams.secure(_PROGRAM)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    sys.exit(run(sys.argv[1:], sys.stdin))


def _end(number: int, _frame: object) -> Never:
    """Let a signal end the command as an exception does: with a withdrawal."""
    sys.exit(128 + number)


def _work(given: argparse.Namespace, now: Callable[[], float]) -> None:
    responder = ResponderControl(given.control, publisher.read_publishing_key(given.key), now=now)
    here = Publisher(responder, given.through)
    if given.watch:
        watch = WebrootWatch(here, given.watch, _report, time.monotonic, given.name or publisher.WEBROOT)
        Systemd(os.environ).ready(f"watches {given.watch}")
        watch.run()
    elif given.withdraw:
        here.withdraw(given.withdraw)
    else:
        here.publish(given.name, given.key_authorization)


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _check(given: argparse.Namespace, stdin: TextIO) -> None:
    """Check and normalise what is given. Raises ValueError."""
    if given.withdraw and (given.watch or given.name):
        raise ValueError("--withdraw cannot be combined with NAME or --watch")
    if given.watch:
        _check_watch(given)
    elif given.withdraw:
        given.withdraw, _, _ = given.withdraw.strip().partition(".")  # of a key authorization, which hooks have as well
        if not wire.is_token(given.withdraw):
            raise ValueError("--withdraw: expected the token of a challenge, or its key authorization")
    else:
        _check_publication(given, stdin)


def _check_watch(given: argparse.Namespace) -> None:
    if given.key_authorization:
        raise ValueError("--watch cannot be combined with KEY_AUTHORIZATION")
    if given.name:
        _check_name(given)
    if not os.path.isdir(given.watch):  # noqa: PTH112 - Path.is_dir raises PermissionError before Python 3.14
        raise ValueError(f"--watch: {given.watch} is not a directory")


def _check_name(given: argparse.Namespace) -> None:
    given.name = given.name.lower().removesuffix(".").strip("[]")
    if _NAME.fullmatch(given.name) is None:
        raise ValueError("NAME: expected a domain name in ASCII (xn--…) without '*', or an IP address")


def _check_publication(given: argparse.Namespace, stdin: TextIO) -> None:
    if not given.key_authorization:
        raise ValueError("expected NAME and KEY_AUTHORIZATION, or --withdraw TOKEN, or --watch DIR")
    _check_name(given)
    if given.key_authorization == "-":
        given.key_authorization = stdin.read(_LONGEST_INPUT)
    publisher.parse_key_authorization(given.key_authorization)


def _path(text: str) -> Path:
    """Return the path; refuse an empty one, as from an unset variable, which `Path` takes for the working directory."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        _PROGRAM,
        usage="wellkeeper-publish [OPTION…] NAME KEY_AUTHORIZATION | --withdraw TOKEN | --watch DIR [NAME]",
        description=_ABOUT,
        epilog=_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="the identifier that the CA validates")
    parser.add_argument(
        "key_authorization", metavar="KEY_AUTHORIZATION", nargs="?", help="TOKEN.THUMBPRINT; - reads standard input"
    )
    parser.add_argument("--withdraw", metavar="TOKEN", help="withdraw this token; also takes its key authorization")
    parser.add_argument("--watch", metavar="DIR", type=_path, help="the webroot of a client")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    _add(parser, "control", "ADDRESS", publisher.DEFAULT_CONTROL, "control address of the responder")
    _add(parser, "key", "FILE", str(publisher.DEFAULT_KEY), "publishing key, in PEM").type = _path
    _add(
        parser,
        "through",
        "ADDRESS",
        publisher.DEFAULT_THROUGH,
        "read back through the nginx at HOST:PORT, or proxy:HOST:PORT",
    )
    return parser


class _Version(argparse.Action):
    """Print the version of the distribution that has this program, and exit."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        metadata = importlib.import_module("importlib.metadata")  # other calls need not wait for it
        installed = (one for name in ("wellkeeper", "wellkeeper-client") for one in metadata.distributions(name=name))
        sys.stdout.write(f"{_PROGRAM}, version {next(installed).version}\n")
        parser.exit()


def _add(parser: argparse.ArgumentParser, name: str, kind: str, default: str, about: str) -> argparse.Action:
    variable = f"WELLKEEPER_PUBLISH_{name.upper()}"
    return parser.add_argument(
        f"--{name}",
        metavar=kind,
        default=os.environ.get(variable) or default,
        help=f"{about}; by default from {variable}, else {default}",
    )


if __name__ == "__main__":
    main()
