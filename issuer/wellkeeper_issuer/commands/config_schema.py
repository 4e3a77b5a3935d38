"""config schema: print the JSON Schema of the settings, for editors and configuration management."""

import json

import click

from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.settings.schema import json_schema


@click.command()
@options.json_option
def schema(*, as_json: bool) -> None:
    """Print the JSON Schema of issuer.toml (draft 2020-12).

    Save it, and name it in the first line of issuer.toml, for example '#:schema ./issuer.schema.json': TOML editors
    then complete and check keys and values.

    Exit status: 0 success, 2 usage.
    """
    if as_json:
        print_json({"schema": json_schema()})
    else:
        click.echo(json.dumps(json_schema(), indent=2))
