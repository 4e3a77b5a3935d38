"""Renew a certificate; with `drop_failing_names`, without dead names rather than not at all.

The full set is always ordered first, and again every day. Only near expiry, and after days in which the CA refused the
same names and accepted others, the others are ordered without them. Then the failure of the dead names stays recorded:
the pass fails although the certificate is served. Design: docs/design/0017-dead-names.md.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from wellkeeper_issuer.errors import ChallengeError
from wellkeeper_issuer.model import Attempt, Lineage
from wellkeeper_issuer.obtain.blocks import is_away
from wellkeeper_issuer.obtain.refused_names import how_to_remove, is_about, listed
from wellkeeper_issuer.records import Issued, LineageRecord
from wellkeeper_issuer.renew import Found, Renewals
from wellkeeper_issuer.reports import Mode
from wellkeeper_node.errors import Retry, WellkeeperError
from wellkeeper_node.model import Flip
from wellkeeper_node.steps import Steps

# A name server or a firewall may be down for a weekend.
_PATIENCE: Final = timedelta(days=3)
# Of six days, three are left when the renewal begins; a tenth must be left after the patience.
_SHARE_OF_PATIENCE: Final = 4
_LAST_PART: Final = 10
_DAY: Final = timedelta(days=1)

# The flip and what was issued, as `Renewals.renew` returns them, and the error of the names that were left out.
Renewed = tuple[Flip, Issued, WellkeeperError | None]


async def renew_partly(renewals: Renewals, lineage: Lineage, found: Found, steps: Steps, mode: Mode) -> Renewed:
    """Obtain and install, if need be without dead names. Raises as `Renewals.renew`, with everything withdrawn."""
    resumed = await _resume(renewals, lineage, found, steps, mode)
    if resumed is not None:
        return resumed
    try:
        flip, issued = await renewals.renew(lineage, found, steps, mode)
    except WellkeeperError as error:
        if lineage.drops_failing_names and error.retry is Retry.NEVER:
            error.retry = Retry.LATER  # the full set is ordered every day
        rest = remaining(lineage, found.record, error, renewals.clock.now())
        if rest is None:
            raise
        renewals.progress.note(lineage.name, f"WARNING: {error} (ordering the other names without it)")
        try:
            flip, issued = await renewals.renew(rest, found, steps, mode)
        except WellkeeperError as second:
            renewals.progress.note(lineage.name, f"WARNING: {second}")
            raise error from second
        return flip, issued, _left_out(lineage, rest, error.why, error, renewals.clock.now())
    return flip, issued, None


def remaining(lineage: Lineage, record: LineageRecord, error: WellkeeperError, now: datetime) -> Lineage | None:
    """Return the certificate without the names that the CA refused, or None if the full set has to be awaited."""
    failure, schedule, refused = record.failure, record.schedule, frozenset(error.identifiers)
    if not lineage.drops_failing_names or failure is None or schedule is None or not (refused and error.accepted):
        return None
    if not is_about(failure, lineage) or failure.refused != refused or failure.refused_since is None:
        return None
    lifetime = schedule.not_after - schedule.not_before
    has_failed_long = now - failure.refused_since >= min(_PATIENCE, lifetime / _SHARE_OF_PATIENCE)
    if not has_failed_long or now < schedule.not_after - lifetime / _LAST_PART:
        return None
    return replace(lineage, identifiers=tuple(one for one in lineage.identifiers if one not in refused))


def _begun(lineage: Lineage, attempt: Attempt | None) -> Lineage | None:
    """Return the certificate without dead names that an earlier pass ordered, when that pass was killed."""
    if not lineage.drops_failing_names or attempt is None or attempt.order_url is None:
        return None
    is_part = set(attempt.identifiers) < set(lineage.identifiers) and attempt.directory_url in lineage.directory_urls
    return replace(lineage, identifiers=attempt.identifiers) if is_part else None


async def _resume(renewals: Renewals, lineage: Lineage, found: Found, steps: Steps, mode: Mode) -> Renewed | None:
    rest = _begun(lineage, found.record.attempt)
    if rest is None:
        return None
    attempt = await renewals.without_unusable_chain(rest, found.record.attempt)
    obtained = attempt if attempt and attempt.under_way.is_issued_for(rest) else None
    try:
        flip, issued = await renewals.renew(rest, replace(found, issued=obtained), steps, mode)
    except WellkeeperError as error:
        if not is_away(error):
            await renewals.attempts.forget_attempt(lineage.name)  # the next pass orders the full set
        raise
    failure = found.record.failure
    return flip, issued, _left_out(lineage, rest, failure.message if failure else "", None, renewals.clock.now())


def _left_out(
    lineage: Lineage, rest: Lineage, why: str, error: WellkeeperError | None, now: datetime
) -> WellkeeperError:
    refused = tuple(one for one in lineage.identifiers if one not in rest.identifiers)
    left_out = ChallengeError(
        f"the CA refuses {listed(refused)}, so the certificate was renewed without",
        why,
        error.remedy if error else how_to_remove(refused),
        problem=error.problem if error else None,
        retry_at=now + _DAY,
    )
    left_out.identifiers, left_out.accepted = refused, rest.identifiers
    return left_out
