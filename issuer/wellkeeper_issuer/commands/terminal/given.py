"""The options that would give the answers so far, so that an interrupted user types nothing twice."""

import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import click


@dataclass
class Options:
    """The options that would give the answers so far."""

    given: dict[str, Any]
    words: list[str] = field(default_factory=list)

    def add(self, option: str, *values: str) -> None:
        self.words += [word for value in values for word in (option, value)]

    @contextmanager
    def kept(self, command: str) -> Iterator[None]:
        """Print the options when the user interrupts."""
        try:
            yield
        except (click.Abort, KeyboardInterrupt):
            if self.words:
                click.echo(f"\nContinue with your answers:\n\n  {command} {shlex.join(self.words)}\n", err=True)
            raise

    def add_paths(self, names: Iterable[str]) -> None:
        """Add those of these options that were given."""
        for name in names:
            if self.given.get(name):
                self.add(f"--{name.replace('_', '-')}", str(self.given[name]))
