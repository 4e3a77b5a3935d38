"""Print one JSON object on standard output for --json, for results and for failures.

docs/json.md describes every object. `schema_version` rises when a key disappears or changes its meaning.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

SCHEMA_VERSION: Final = 1
FLAG: Final = "--json"


def print_json(found: Mapping[str, Any]) -> None:
    click.echo(to_text(found))


def to_text(found: Mapping[str, Any]) -> str:
    """Return the text of the object. With indents, json works in Python, and lets other threads run meanwhile."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **found}, indent=2)


def is_wanted(arguments: Sequence[str]) -> bool:
    """Return true when these arguments ask for JSON; needed for mistakes in the arguments themselves."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return FLAG in options
