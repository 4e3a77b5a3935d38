"""Format errors for commands: three short lines, or a JSON object."""

import click

from wellkeeper_issuer.commands.terminal.interrupts import Terminated
from wellkeeper_node.errors import WellkeeperError


def to_text(subject: str, error: Exception) -> str:
    """Return `subject: what failed`, then why and what to do on indented lines of their own."""
    lines = error.lines if isinstance(error, WellkeeperError) else (f"unexpected error: {error!r}",)
    return f"{subject}: " + "\n  ".join(lines)


def to_json(error: BaseException) -> dict[str, str | None]:
    """Return the same keys for all errors; an unexpected one has no stage."""
    match error:
        case WellkeeperError():
            return _object(error.stage, error.what, error.why, error.remedy, error.retry.value)
        case click.UsageError(ctx=context):
            remedy = f"Run '{context.command_path} --help' to see how it is used." if context else ""
            return _object("usage", error.format_message().rstrip("."), "", remedy, "never")
        case click.ClickException():
            return _object("usage", error.format_message().rstrip("."), "", "", "never")
        case click.Abort() | Terminated():
            return _object("interrupted", "interrupted", "", "", "soon")
        case _:
            return _object(None, f"unexpected error: {error!r}", "", "", None)


def _object(stage: str | None, what: str, why: str, remedy: str, retry: str | None) -> dict[str, str | None]:
    return {"stage": stage, "what": what, "why": why, "remedy": remedy, "retry": retry}
