"""The rich console of a terminal: as wide as the terminal, with colours only where they are wanted."""

from typing import Final

from rich.console import Console

from wellkeeper_issuer.commands.terminal import screen

# rich takes a dumb terminal for one of 80 columns, unless it is given width and height. Nothing depends on the height.
_HEIGHT: Final = 25


def make_console(*, is_stderr: bool = False) -> Console:
    """Return a console for standard output or standard error."""
    return Console(
        stderr=is_stderr,
        width=screen.width(2 if is_stderr else 1),
        height=_HEIGHT,
        color_system="auto" if screen.has_colours() else None,
        highlight=False,
        emoji=False,
    )
