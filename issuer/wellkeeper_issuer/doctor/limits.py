"""Check what is left of the CAs' limits, by our own count, and that no CA pauses a name."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from wellkeeper_issuer.obtain.blocks import is_in_force
from wellkeeper_issuer.records import Blocked, Budget, Failure, Spent
from wellkeeper_node.errors import Retry
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.wording import counted, format_time

LIMITS: Final = "ca-limits"
BLOCKS: Final = "ca-blocks"

_HOUR: Final = 3600.0


def check_limits(cas: Sequence[str], budgets: Sequence[tuple[str, Budget]]) -> Sequence[Finding]:
    """`ca-limits`: each CA has more than the reserve left of every limit. `budgets` have the names of their CAs."""
    return [_about_ca(ca, [one for name, one in budgets if name == ca]) for ca in cas]


def _about_ca(ca: str, budgets: Sequence[Budget]) -> Finding:
    short = [one for one in budgets if one.left <= _reserve(one)]
    failures = sum(one.used for one in budgets if _is_of_the_last_hour(one))
    failed = f"{counted(failures, 'failed validation')} in the last hour" if failures else ""
    if short:
        # The budget with the least left comes first.
        others = f"{counted(len(short) - 1, 'other limit')} nearly used up" if len(short) > 1 else ""
        fix = "Fix what makes orders fail, and wait until then." if short[0].free_at else "Fix what makes orders fail."
        verdict = Verdict.WARN if short[0].left else Verdict.FAIL
        return Finding(LIMITS, verdict, ca, "; ".join(filter(None, (_describe(short[0]), others, failed))), fix)
    least = _describe(budgets[0]) if budgets else "nothing was used of its limits"
    return Finding(LIMITS, Verdict.OK, ca, "; ".join(filter(None, (least, failed))))


def _reserve(budget: Budget) -> int:
    """Return what scheduled renewals leave for urgent ones (`obtain.limits`)."""
    return 1 if budget.limit.count > 1 else 0


def _is_of_the_last_hour(budget: Budget) -> bool:
    return budget.limit.spent is Spent.FAILED_VALIDATION and budget.limit.seconds == _HOUR


def _describe(budget: Budget) -> str:
    limit, about = budget.limit, f" ({budget.value:.100})" if budget.value else ""
    free = f", the next one is free at {format_time(budget.free_at)}" if budget.free_at else ""
    return f"{budget.left} of {limit.count} {limit.spent}s left per {limit.scope}{about}{free}"


def check_blocks(
    names: Mapping[str, str], blocks: Sequence[Blocked], failures: Mapping[str, Failure], now: datetime
) -> Sequence[Finding]:
    """`ca-blocks`: no CA is left alone for a while, and none pauses a certificate's names.

    `names` are those of the CAs by directory URL, `failures` the last ones by certificate.
    """
    paused = {one.subject: one for one in _paused(failures)}
    blocked = {one.subject: one for one in _blocked(names, blocks, now)}
    return list((blocked | paused).values()) or [
        Finding(BLOCKS, Verdict.OK, "", f"{counted(len(names), 'CA')} may be asked")
    ]


def _blocked(names: Mapping[str, str], blocks: Sequence[Blocked], now: datetime) -> Iterator[Finding]:
    for one in blocks:
        if one.directory_url in names and is_in_force(one, now):
            subject = one.lineage or names[one.directory_url]
            cause = f"{names[one.directory_url]} is not asked before {format_time(one.until)}: {one.reason}"
            yield Finding(BLOCKS, Verdict.WARN, subject, cause, "Fix what the CA reports, and wait until then.")


def _paused(failures: Mapping[str, Failure]) -> Iterator[Finding]:
    for name, failure in failures.items():
        if failure.problem == "rateLimited" and failure.retry is Retry.NEVER:
            fix = f"Open the link in it to resume the name, then run 'wellkeeper renew {name}'."
            yield Finding(BLOCKS, Verdict.FAIL, name, f"the CA paused it: {failure.message}", fix)
