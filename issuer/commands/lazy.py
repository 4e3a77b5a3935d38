"""A group whose commands are loaded when they are asked for: one that has nothing to do loads none of the others."""

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """`places` are, by the command's name, `module:attribute`; they keep their order. Help loads all of them."""

    def __init__(self, *arguments: Any, places: Mapping[str, str], **others: Any) -> None:  # noqa: ANN401 - as click's
        super().__init__(*arguments, **others)
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in self._places:
            return None
        module, _, attribute = self._places[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command
