"""A click group that loads a command only when it runs."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import click
from click.shell_completion import CompletionItem


@dataclass(frozen=True, slots=True)
class Place:
    """A command's place, `module:attribute`, and its help line, so that the list of commands loads none of them."""

    where: str
    line: str

    def load(self) -> click.Command:
        module, _, attribute = self.where.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


class LazyGroup(click.Group):
    """`sections` maps titles to commands by name; both keep their order."""

    def __init__(self, *arguments: Any, sections: Mapping[str, Mapping[str, Place]], **others: Any) -> None:  # noqa: ANN401 - as click's
        super().__init__(*arguments, **others)
        self.sections = sections
        self._places = {name: place for places in sections.values() for name, place in places.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        place = self._places.get(cmd_name)
        return place.load() if place else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve as click does, and suggest commands for a mistyped one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            close = get_close_matches(args[0], self._places)
            if not close:
                raise
            raise click.UsageError(f"{error.message} Did you mean {' or '.join(close)}?", error.ctx) from error

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[str]]":
        """Propose commands without loading them, then options."""
        found = [CompletionItem(name, help=place.line) for name, place in self._places.items()]
        commands = [one for one in found if one.value.startswith(incomplete)]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        width = max(map(len, self._places))
        for title, places in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:{width}}", place.line) for name, place in places.items()])
