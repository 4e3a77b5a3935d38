"""wellkeeper: obtain certificates, deliver them to nginx, and verify that it serves them."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from wellkeeper_client import streams, working_directory
from wellkeeper_issuer.commands.terminal import errors, json_output, options
from wellkeeper_issuer.commands.terminal.interrupts import Terminated
from wellkeeper_issuer.commands.terminal.lazy import LazyGroup, Place
from wellkeeper_issuer.commands.terminal.progress import TextFormatter, in_journal, is_journal, journal_prefix
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.start import check_health
from wellkeeper_node.errors import WellkeeperError

_INTERRUPTED: Final = "wellkeeper: interrupted"
# Commands whose output is all that they are run for; the others have done their work when they print.
_REPORTS: Final = frozenset({"status", "why", "list", "trust", "config", "files", "completion", "doctor", "history"})
_SECTIONS: Final = {
    "Set up": {
        "setup": Place(
            "wellkeeper_issuer.commands.setup:setup", "Set up this host, and show the changes that nginx needs."
        ),
        "init": Place("wellkeeper_issuer.commands.init:init", "Write the settings and keys, and show the next steps."),
        "prepare": Place(
            "wellkeeper_issuer.commands.prepare:prepare", "Fill the volumes of containers, before these start."
        ),
        "trust": Place(
            "wellkeeper_issuer.commands.trust:trust", "Show the responder values and the nginx lines to copy."
        ),
        "placeholder": Place(
            "wellkeeper_issuer.commands.placeholder:placeholder",
            "Create self-signed certificates so that nginx can start.",
        ),
        "files": Place(
            "wellkeeper_issuer.commands.files:files", "Write snippets, units and completion scripts to a directory."
        ),
        "completion": Place(
            "wellkeeper_issuer.commands.completion:completion", "Print the script for completion in a shell."
        ),
        "import": Place(
            "wellkeeper_issuer.commands.import_client:import_",
            "Import certificates and accounts of another ACME client.",
        ),
    },
    "Keep fresh": {
        "run": Place("wellkeeper_issuer.commands.run:run", "Run the daemon, which renews whatever is due."),
        "renew": Place(
            "wellkeeper_issuer.commands.renew:renew", "Renew now whatever is due, or the named certificates."
        ),
        "deliver": Place(
            "wellkeeper_issuer.commands.deliver:deliver", "Install and prove what another ACME client obtained."
        ),
        "rehearse": Place(
            "wellkeeper_issuer.commands.rehearse:rehearse", "Dry run: try a renewal without touching what is live."
        ),
        "publish": Place(
            "wellkeeper_issuer.commands.publish:publish", "Publish a token of another ACME client on all nodes."
        ),
    },
    "Inspect": {
        "status": Place("wellkeeper_issuer.commands.status:status", "Show all certificates and what needs attention."),
        "doctor": Place(
            "wellkeeper_issuer.commands.doctor:doctor", "Report what is wrong on this host, and the line to change."
        ),
        "notify": Place("wellkeeper_issuer.commands.notify:notify", "Test the notifications by webhook and mail."),
        "why": Place("wellkeeper_issuer.commands.why:why", "Explain when and why a certificate will be renewed."),
        "history": Place(
            "wellkeeper_issuer.commands.history:history", "Show what happened: joins, changes, deliveries."
        ),
        "list": Place(
            "wellkeeper_issuer.commands.list:list_certificates", "List the certificates with names, CAs and key types."
        ),
    },
    "Change": {
        "config": Place("wellkeeper_issuer.commands.config:config", "Check and show the settings."),
        "certificate": Place("wellkeeper_issuer.commands.certificate:certificate", "Add and remove certificates."),
        "fleet": Place("wellkeeper_issuer.commands.fleet:fleet", "Set up this host for other nodes."),
        "node": Place("wellkeeper_issuer.commands.node:node", "Invite, list and remove other nodes."),
        "engine": Place("wellkeeper_issuer.commands.engine:engine", "Let nodes follow a Valkey or Redis server, too."),
        "reload": Place("wellkeeper_issuer.commands.reload:reload", "Make the daemon read its settings again."),
        "revoke": Place("wellkeeper_issuer.commands.revoke:revoke", "Revoke a certificate and replace it."),
        "key": Place("wellkeeper_issuer.commands.key:key", "Show and rotate the keys that nodes trust."),
        "publisher": Place(
            "wellkeeper_issuer.commands.publisher:publisher", "Let other ACME clients publish with keys of their own."
        ),
        "backup": Place("wellkeeper_issuer.commands.backup:backup", "Write an encrypted backup of this issuer."),
        "restore": Place("wellkeeper_issuer.commands.restore:restore", "Restore a backup on a host without state."),
        "promote": Place("wellkeeper_issuer.commands.promote:promote", "Make this standby the issuer after its loss."),
        "account": Place("wellkeeper_issuer.commands.account_show:account", "Show and change the accounts at the CAs."),
    },
}


def _check_health(context: click.Context, _: click.Parameter, is_wanted: bool) -> None:
    if is_wanted:
        context.exit(check_health(context.params["config"]))


@click.group(cls=LazyGroup, sections=_SECTIONS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wellkeeper", prog_name="wellkeeper")
@options.config_option
@click.option(
    "--check-health",
    is_flag=True,
    expose_value=False,
    callback=_check_health,
    help="Check that the daemon answers; exit with 0 if it does, else with 1.",
)
def cli(config: Path | None) -> None:
    """Keep nginx's certificates renewed without a shared filesystem.

    Run a command with --help for details.
    """
    # The option's callback keeps it for the command.
    del config
    if click.get_current_context().invoked_subcommand not in _REPORTS:
        streams.report_on_stderr()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command with these arguments, by default those of the process.

    Exit status: 0 success, 1 something failed, 2 usage or settings, 130 and 143 interrupted.
    """
    streams.secure("wellkeeper")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    if is_journal():
        logging.getLogger().handlers[0].setFormatter(TextFormatter(journal_prefix))
    status = _exit_status(sys.argv[1:] if arguments is None else arguments)
    sys.exit(status or int(streams.is_output_lost()))


def _exit_status(arguments: Sequence[str]) -> int:
    is_json = json_output.is_wanted(arguments)
    try:
        # Standalone, click would end with 1 on Ctrl-C.
        return int(cli(arguments, prog_name="wellkeeper", standalone_mode=False) or 0)
    except (click.ClickException, WellkeeperError, click.Abort, Terminated) as error:
        return _report(error, is_json=is_json)
    except ModuleNotFoundError as error:
        if str(error.name).startswith("wellkeeper_"):
            raise
        what, why = f"the Python package {error.name!r} is missing", "only the responder may be installed here"
        return _report(
            WellkeeperError(what, why, "Run 'pip install wellkeeper' to install everything."), is_json=is_json
        )
    except Exception as error:
        if isinstance(error, FileNotFoundError) and working_directory.is_deleted():
            why, remedy = working_directory.WHY, working_directory.REMEDY
            return _report(WellkeeperError(working_directory.WHAT, why, remedy), is_json=is_json)
        if not is_json:
            raise
        json_output.print_json({"error": errors.to_json(error)})
        return 1


def _report(error: BaseException, *, is_json: bool) -> int:
    """Print the error and return the exit status."""
    if is_json:
        json_output.print_json({"error": errors.to_json(error)})
    else:
        _print_error(error)
    return _status_of(error)


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
