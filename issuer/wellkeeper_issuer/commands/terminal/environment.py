"""Options that can also be environment variables: WELLKEEPER_ and the option's name in capitals."""

import os
import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

import click

_PREFIX: Final = "WELLKEEPER_"
# --config has its own variable, for all commands; the output is for the person who runs the command.
_WITHOUT: Final = frozenset({"--config", "--json", "--help"})
_LIKENESS: Final = 0.85


class Names(click.types.StringParamType):
    """The names of one certificate. In a variable, spaces separate certificates, except beside commas."""

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        return re.sub(r"\s*,\s*", ",", rv).split()


def reads_environment(command: click.Command) -> click.Command:
    """Let the command take each option from its variable, too; the option wins."""
    for one in command.params:
        if isinstance(one, click.Option) and one.opts[0] not in _WITHOUT:
            one.envvar, one.show_envvar = variable(one.opts[0]), True
    return command


def variable(option: str) -> str:
    """Return the variable of an option."""
    return _PREFIX + option.removeprefix("--").replace("-", "_").upper()


def named(option: str) -> str:
    """Return the option, with its variable if the running command takes that."""
    context = click.get_current_context(silent=True)
    takes = [one for one in context.command.params if option in one.opts and one.envvar] if context else []
    return f"{option} (or {variable(option)})" if takes else option


def refuse_mistyped(command: click.Command) -> None:
    """Raise UsageError for a variable whose name is nearly that of an option: it would change nothing, silently."""
    known = {str(one.envvar) for one in command.params if one.envvar}
    for name in sorted(set(os.environ) - known):
        close = get_close_matches(
            name.removeprefix(_PREFIX), [one.removeprefix(_PREFIX) for one in known], 1, _LIKENESS
        )
        if name.startswith(_PREFIX) and close:
            raise click.UsageError(f"Unknown variable {name}. Did you mean {_PREFIX}{close[0]}?")
