"""doctor: report what is wrong on this host, where, and the line to change; it changes nothing.

`nginx -T`, which it runs, may create log files that the configuration names.
"""

from pathlib import Path

import click

from wellkeeper_issuer.assembly.doctor import SETTINGS_CHECK
from wellkeeper_issuer.commands.terminal import examining, findings, options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.network import allowed_network, offline_option
from wellkeeper_issuer.commands.terminal.options import Verbosity
from wellkeeper_issuer.location import settings_path
from wellkeeper_node.findings import Verdict


@click.command()
@options.names_argument
@offline_option
@options.config_option
@options.json_option
@options.verbose_option
@options.quiet_option
def doctor(names: tuple[str, ...], config: Path | None, is_offline: bool, as_json: bool, **given: bool) -> None:
    """Report what is wrong on this host, why, and the command to run or the line to change. Changes nothing.

    Check the settings, this host, nginx's configuration, DNS, the CAs and what nginx serves, for the certificates
    NAME… or for all. Users other than root get 'skipped' for what only root can read.

    Exit status: 0 no check failed, 1 a check failed, 2 usage or settings.
    """
    verbosity = options.verbosity(**given)
    has_progress = not as_json and verbosity is not Verbosity.QUIET
    allowed = allowed_network(is_offline=is_offline)
    found = examining.run_here(settings_path(config), names, allowed, has_progress=has_progress)
    if as_json:
        print_json(findings.to_json(found))
    else:
        findings.show(found, verbosity)
    failed = {one.check for one in found if one.verdict is Verdict.FAIL}
    if failed:
        click.get_current_context().exit(2 if SETTINGS_CHECK in failed else 1)
