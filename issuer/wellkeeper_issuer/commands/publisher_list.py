"""publisher list: the publishers of the settings, and whether the trust file has them."""

from pathlib import Path
from typing import Final

import click

from wellkeeper_issuer.commands import trust_file
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.screen import Row
from wellkeeper_issuer.commands.terminal.table import print_table
from wellkeeper_issuer.location import settings_path

_TITLES: Final = ("PUBLISHER", "TRUSTED", "ACCOUNTS", "NAMES")


@click.command("list")
@options.config_option
@options.json_option
def list_publishers(config: Path | None, *, as_json: bool) -> None:
    """List the publishers of the settings, and whether the trust file agrees with them."""
    host = trust_file.find(options.read(config), settings_path(config))
    trusted = host.found.publishers if host.found else ()
    if as_json:
        print_json({"publishers": [one.to_json() | {"is_trusted": one in trusted} for one in host.wanted.publishers]})
        return
    rows = [
        Row(
            (one.name, "yes" if one in trusted else "no", str(len(one.account_thumbprints)), ", ".join(one.identifiers))
        )
        for one in host.wanted.publishers
    ]
    print_table(_TITLES, rows, name_column=0, cuts_last=False)
