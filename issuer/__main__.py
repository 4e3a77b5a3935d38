"""wellkeeper-issuer: obtains certificates, delivers them to nginx, and proves that they are served."""

import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from issuer.commands import options
from issuer.commands.lazy import LazyGroup
from issuer.errors import SettingsError, WellkeeperError

_INTERRUPTED: Final = "wellkeeper-issuer: interrupted; nothing stays published, the next run goes on where this ended"
_COMMANDS: Final = {
    "init": "issuer.commands.init:init",
    "trust": "issuer.commands.trust:trust",
    "placeholder": "issuer.commands.placeholder:placeholder",
    "renew": "issuer.commands.renew:renew",
    "run": "issuer.commands.run:run",
    "reload": "issuer.commands.reload:reload",
    "rehearse": "issuer.commands.rehearse:rehearse",
    "status": "issuer.commands.status:status",
    "why": "issuer.commands.why:why",
    "list": "issuer.commands.list:list_certificates",
    "certificate": "issuer.commands.certificate:certificate",
    "account": "issuer.commands.account_show:account",
    "revoke": "issuer.commands.revoke:revoke",
    "import": "issuer.commands.import_certbot:import_",
}


@click.group(cls=LazyGroup, places=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wellkeeper", prog_name="wellkeeper-issuer")
@options.config_option
def cli(config: Path | None) -> None:
    """Keeps the certificates of nginx fresh without a shared filesystem."""
    # The option has remembered it for the command that follows.
    del config


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
