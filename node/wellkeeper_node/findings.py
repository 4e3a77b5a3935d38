"""The result of one check of `wellkeeper doctor`."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """In order: the last one is the worst."""

    SKIPPED = "skipped"
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict of the check `check` about `subject`: a certificate, name, node, file or unit, "" for the host.

    `cause` is one line without a full stop: for `ok` the fact that was checked, for `skipped` why it could not be.
    `fix` is a full sentence, with the command to run or the line to change; "" only for `ok` and `skipped`.
    `place` is where to change it, as `FILE:LINE`; "" where no line is to blame.
    """

    check: str
    verdict: Verdict
    subject: str
    cause: str
    fix: str = ""
    place: str = ""


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the worst verdict, `ok` without findings."""
    order = list(Verdict)
    return max((one.verdict for one in findings), key=order.index, default=Verdict.OK)
