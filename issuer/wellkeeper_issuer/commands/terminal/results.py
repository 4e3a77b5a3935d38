"""Print the reports of a pass: what failed in three lines, all else in one, and a summary of many."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from wellkeeper_issuer.commands.terminal import errors
from wellkeeper_issuer.commands.terminal.options import Verbosity
from wellkeeper_issuer.reports import Outcome, Report
from wellkeeper_node.wording import counted

# Outcomes that end with exit status 1.
UNSUCCESSFUL: Final = frozenset({Outcome.FAILED, Outcome.WAITING})
_WORDS: Final = {
    Outcome.SERVED: "served",
    Outcome.INSTALLED: "installed",
    Outcome.FAILED: "failed",
    Outcome.WAITING: "waiting",
    Outcome.NOT_SERVED_YET: "not served yet",
    Outcome.UNCHANGED: "not due",
}


def to_lines(reports: Sequence[Report], verbosity: Verbosity) -> Iterator[str]:
    """Yield what is worth printing: of many certificates, those that are not due are only counted.

    With QUIET, yield only those that end with exit status 1.
    """
    for report in reports:
        if _is_shown(report, verbosity, is_one_of_many=len(reports) > 1):
            yield to_text(report)
    if len(reports) > 1 and verbosity is not Verbosity.QUIET:
        yield summary(reports)


def _is_shown(report: Report, verbosity: Verbosity, *, is_one_of_many: bool) -> bool:
    if report.outcome in UNSUCCESSFUL or verbosity is Verbosity.VERBOSE:
        return True
    if verbosity is Verbosity.QUIET:
        return False
    return not is_one_of_many or report.outcome is not Outcome.UNCHANGED


def summary(reports: Sequence[Report]) -> str:
    """Return `50 certificates: 48 served, 1 failed, 1 waiting`."""
    counts = Counter(report.outcome for report in reports)
    parts = [f"{counts[outcome]} {words}" for outcome, words in _WORDS.items() if counts[outcome]]
    return f"{counted(len(reports), 'certificate')}: {', '.join(parts)}"


def to_text(report: Report) -> str:
    """Return one line, with its reason or what to do on lines of their own below."""
    dated = report.certificate or report.schedule
    until = f", valid until {dated.not_after:%Y-%m-%d}" if dated else ""
    match report.outcome:
        case Outcome.FAILED:
            stage = getattr(report.error, "stage", "internal")
            return errors.to_text(f"{report.lineage}: failed ({stage})", report.error or RuntimeError(report.reason))
        case Outcome.UNCHANGED:
            return f"{report.lineage}: not due{until}"
        case Outcome.WAITING:
            return f"{report.lineage}: waiting{until}\n  {report.reason}"
        case Outcome.SERVED:
            return f"{report.lineage}: served{until}"
        case Outcome.INSTALLED:
            return f"{report.lineage}: installed{until}\n  {report.detail}"
        case Outcome.NOT_SERVED_YET:
            return f"{report.lineage}: installed, not served yet{until}\n  {report.detail}"
