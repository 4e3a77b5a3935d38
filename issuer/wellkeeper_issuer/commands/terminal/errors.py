"""How commands print errors: three short lines, or a JSON object."""

from wellkeeper_node.errors import WellkeeperError


def to_text(subject: str, error: Exception) -> str:
    """Return `subject: what failed`, then why and what to do on indented lines of their own."""
    lines = error.lines if isinstance(error, WellkeeperError) else (f"unexpected error: {error!r}",)
    return f"{subject}: " + "\n  ".join(lines)


def to_json(error: Exception) -> dict[str, str | None]:
    """Return the same keys for all errors; an unexpected one has no stage."""
    if not isinstance(error, WellkeeperError):
        return {"stage": None, "what": f"unexpected error: {error!r}", "why": "", "remedy": "", "retry": None}
    lines = {"what": error.what, "why": error.why, "remedy": error.remedy}
    return {"stage": error.stage, **lines, "retry": error.retry.value}
