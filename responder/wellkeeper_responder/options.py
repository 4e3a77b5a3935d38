"""Callbacks of command line options whose values have a parser that raises ValueError."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import click

_T = TypeVar("_T")


def one(parse: Callable[[str], _T]) -> Callable[[click.Context, click.Parameter, str], _T]:
    """Return a callback that parses the value of an option and turns ValueError into a usage error."""

    def convert(context: click.Context, parameter: click.Parameter, value: str) -> _T:
        try:
            return parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error), context, parameter) from error

    return convert


def each(parse: Callable[[str], _T]) -> Callable[[click.Context, click.Parameter, Sequence[str]], tuple[_T, ...]]:
    """Return the same for an option that may be repeated."""
    return lambda context, parameter, values: tuple(one(parse)(context, parameter, value) for value in values)
