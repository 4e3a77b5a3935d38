"""wellkeeper-issuer: obtains certificates, delivers them to nginx, and proves that they are served."""

import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from issuer.commands import build, options
from issuer.commands.account import account
from issuer.commands.account_show import show
from issuer.commands.init import init
from issuer.commands.list import list_certificates
from issuer.commands.placeholder import placeholder
from issuer.commands.rehearse import rehearse
from issuer.commands.reload import reload
from issuer.commands.renew import renew
from issuer.commands.revoke import revoke
from issuer.commands.run import run
from issuer.commands.status import status
from issuer.commands.trust import trust
from issuer.commands.why import why
from issuer.errors import SettingsError, WellkeeperError

_INTERRUPTED: Final = "wellkeeper-issuer: interrupted; nothing stays published, the next run goes on where this ended"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(build.version(), prog_name="wellkeeper-issuer")
@options.config_option
@click.pass_context
def cli(context: click.Context, config: Path | None) -> None:
    """Keeps the certificates of nginx fresh without a shared filesystem."""
    if config is not None:
        # Before the command or after it: both are written, and the one after it counts.
        context.default_map = _with_config(cli, config)


def _with_config(group: click.Group, config: Path) -> dict[str, Any]:
    return {
        name: _with_config(command, config) if isinstance(command, click.Group) else {"config": config}
        for name, command in group.commands.items()
    }


account.add_command(show)
for command in (
    init,
    trust,
    placeholder,
    renew,
    run,
    reload,
    rehearse,
    status,
    why,
    list_certificates,
    account,
    revoke,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit status: 0 well, 1 something failed, 2 usage or settings, 130 and 143 interrupted.

    `arguments` are those of the process by default.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    sys.exit(_exit_status(arguments))


def _exit_status(arguments: Sequence[str] | None) -> int:
    try:
        # Standalone, click would end with 1 on Ctrl-C.
        return int(cli(arguments, standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except SettingsError as error:
        click.echo(f"wellkeeper-issuer: {error}", err=True)
        return 2
    except WellkeeperError as error:
        click.echo(f"wellkeeper-issuer: {error.stage}: {error}", err=True)
        return 1
    except click.Abort:
        click.echo(_INTERRUPTED, err=True)
        return 130
    except asyncio.CancelledError:
        click.echo(_INTERRUPTED, err=True)
        return 143


if __name__ == "__main__":
    main()
