"""wellkeeper: obtains certificates, delivers them to nginx, and proves that they are served."""

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

try:
    from wellkeeper_issuer.commands.terminal import errors, json_output, options
    from wellkeeper_issuer.commands.terminal.lazy import LazyGroup, Place
    from wellkeeper_issuer.commands.terminal.progress import TextFormatter, in_journal, is_journal, journal_prefix
    from wellkeeper_issuer.errors import SettingsError
    from wellkeeper_node.errors import WellkeeperError
except ModuleNotFoundError as error:
    if str(error.name).startswith("wellkeeper_"):
        raise
    sys.exit(
        f"wellkeeper: the Python package {error.name!r} is missing; only the responder may be installed here.\n"
        "Run 'pip install wellkeeper' to install everything."
    )

_INTERRUPTED: Final = "wellkeeper: interrupted"
_SECTIONS: Final = {
    "Set up": {
        "init": Place(
            "wellkeeper_issuer.commands.init:init", "Write the settings, make the keys, say what comes next."
        ),
        "trust": Place("wellkeeper_issuer.commands.trust:trust", "Print the lines for the responder and for nginx."),
        "placeholder": Place(
            "wellkeeper_issuer.commands.placeholder:placeholder", "Make pairs with which nginx can start."
        ),
        "files": Place(
            "wellkeeper_issuer.commands.files:files", "Write nginx snippets and systemd units to a directory."
        ),
        "import": Place("wellkeeper_issuer.commands.import_certbot:import_", "Take over what certbot has."),
    },
    "Keep fresh": {
        "run": Place(
            "wellkeeper_issuer.commands.run:run", "The daemon: renew whatever is due, for as long as it runs."
        ),
        "renew": Place("wellkeeper_issuer.commands.renew:renew", "One pass: renew whatever is due, or what you name."),
        "rehearse": Place(
            "wellkeeper_issuer.commands.rehearse:rehearse", "Try a renewal without touching what is live."
        ),
    },
    "Look": {
        "status": Place("wellkeeper_issuer.commands.status:status", "Where each certificate stands."),
        "why": Place("wellkeeper_issuer.commands.why:why", "When one is renewed, by which rule, what comes next."),
        "list": Place(
            "wellkeeper_issuer.commands.list:list_certificates", "The certificates with names, CAs and key types."
        ),
    },
    "Change": {
        "certificate": Place("wellkeeper_issuer.commands.certificate:certificate", "Add and remove certificates."),
        "reload": Place("wellkeeper_issuer.commands.reload:reload", "Let the daemon read the settings again."),
        "revoke": Place(
            "wellkeeper_issuer.commands.revoke:revoke", "Declare a certificate void, and have it replaced."
        ),
        "account": Place("wellkeeper_issuer.commands.account_show:account", "Show and change our accounts at the CAs."),
    },
}


@click.group(cls=LazyGroup, sections=_SECTIONS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wellkeeper", prog_name="wellkeeper")
@options.config_option
def cli(config: Path | None) -> None:
    """Keeps the certificates of nginx fresh without a shared filesystem.

    Each command tells more with --help.
    """
    # The option has remembered it for the command that follows.
    del config


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit status: 0 well, 1 something failed, 2 usage or settings, 130 and 143 interrupted.

    `arguments` are those of the process by default.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    if is_journal():
        logging.getLogger().handlers[0].setFormatter(TextFormatter(journal_prefix))
    try:
        status = _exit_status(sys.argv[1:] if arguments is None else arguments)
        click.echo(nl=False)  # flushes
    except OSError as error:
        if error.filename is not None:
            raise
        # Standard output is all that is written to without a name; a reader that has left needs no words.
        if not isinstance(error, BrokenPipeError):
            click.echo(f"wellkeeper: cannot write to standard output: {error.strerror}", err=True)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the exit fails as well
        status = 1
    sys.exit(status)


def _exit_status(arguments: Sequence[str]) -> int:
    is_json = json_output.is_wanted(arguments)
    try:
        # Standalone, click would end with 1 on Ctrl-C.
        return int(cli(arguments, prog_name="wellkeeper", standalone_mode=False) or 0)
    except (click.ClickException, WellkeeperError, click.Abort, asyncio.CancelledError) as error:
        if is_json:
            json_output.print_json({"error": errors.to_json(error)})
        else:
            _print_error(error)
        return _status_of(error)
    except Exception as error:
        is_output_lost = isinstance(error, OSError) and error.filename is None
        if not is_json or is_output_lost:
            raise
        json_output.print_json({"error": errors.to_json(error)})
        return 1


def _print_error(error: BaseException) -> None:
    if isinstance(error, click.ClickException):
        error.show()
    elif isinstance(error, WellkeeperError):
        text = errors.to_text("wellkeeper", error)
        click.echo(in_journal(text) if is_journal() else text, err=True)
    else:
        click.echo(_INTERRUPTED, err=True)


def _status_of(error: BaseException) -> int:
    match error:
        case click.ClickException():
            return error.exit_code
        case SettingsError():
            return 2
        case WellkeeperError():
            return 1
        case click.Abort():
            return 130
        case _:
            return 143


if __name__ == "__main__":
    main()
