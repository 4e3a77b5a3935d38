"""Print one JSON object on standard output for --json, for results and for failures.

docs/json.md describes every object. `schema_version` rises when a key disappears or changes its meaning.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

import click

SCHEMA_VERSION: Final = 1
FLAG: Final = "--json"
_JOINED_AT_ONCE: Final = 10_000


def print_json(found: Mapping[str, Any]) -> None:
    click.echo(to_text(found))


def to_text(found: Mapping[str, Any]) -> str:
    """Return the text of the object, made in steps that let other threads run, however long it is."""
    parts = json.JSONEncoder(indent=2).iterencode({"schema_version": SCHEMA_VERSION, **found})
    return "".join(iter(lambda: "".join(islice(parts, _JOINED_AT_ONCE)), ""))


def is_wanted(arguments: Sequence[str]) -> bool:
    """Return true when these arguments ask for JSON; needed for mistakes in the arguments themselves."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return FLAG in options
