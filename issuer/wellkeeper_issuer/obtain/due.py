"""due: compute when a certificate is renewed and by which rule, and whether it is due now.

The CA's suggested window decides (RFC 9773), else the lifetime rule; near expiry the certificate is due in any case.
Everything follows from the certificate's own dates and the window, so that a clock that jumped cannot delay a renewal.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from wellkeeper_issuer.model import Due, Lineage
from wellkeeper_issuer.records import Check, NoRenewalInfo, Origin, RenewalInfo, Rule, Schedule, Seen, Window
from wellkeeper_node.model import Installed
from wellkeeper_node.wording import format_time

# Reasons that do not depend on a schedule.
PLACEHOLDER: Final = "only a self-signed placeholder is installed"
ISSUED: Final = "the CA issued a certificate that is not installed yet"
_DELIVERED: Final = "another client delivered a certificate that is not installed yet"
_RESTORED: Final = "it was renewed after the backup: nodes have a newer version, which this restored host does not"

_SHORT_LIFETIME: Final = timedelta(days=10)
# As wide as Boulder's own windows: 2 % of the lifetime around the same time (core/objects.go).
_JITTER: Final = 0.02
# certmagic renews in the last twentieth whatever the CA says. Of six days that would be seven hours, too few for one
# bad night, so short lifetimes use a tenth.
_LAST_PART: Final = 1 / 20
_LAST_PART_OF_SHORT: Final = 1 / 10
# RFC 9773 section 4.3.2: clamped, for example between a minute and a day; after a lasting error, six hours.
_SHORTEST_PAUSE_SECONDS: Final = 60.0
_LONGEST_PAUSE_SECONDS: Final = 86_400.0
_USUAL_PAUSE_SECONDS: Final = 21_600.0
# Section 4.3.3: after so many temporary errors in a row, wait as after a lasting one.
_QUICK_TRIES: Final = 6
# While the CA is away, or gets no questions for a while because of one: it says nothing about the certificate then, and
# section 4.3.3 leaves that time to us. At most one question per minute finds out whether the CA is back, and then the
# certificates ask again within so long, spread over it.
_UNREACHED_PAUSE_SECONDS: Final = 1_800.0
# Spreads pauses that no CA chose, so that certificates issued together are not always asked about together.
_PAUSE_JITTER: Final = 0.1
# At least twice a day, to notice a window that moved.
_LONGEST_CHECK_SECONDS: Final = 43_200.0


def reason_of(lineage: Lineage) -> str:
    """Return why a certificate that was obtained already is installed."""
    return _DELIVERED if lineage.is_external else ISSUED


def renew_at(not_before: datetime, not_after: datetime) -> datetime:
    """Return when the lifetime rule renews: after two thirds of the lifetime, or half of one below ten days.

    Both are what Let's Encrypt's integration guide asks for.
    """
    lifetime = not_after - not_before
    part = lifetime / 2 if lifetime < _SHORT_LIFETIME else lifetime * 2 / 3
    return not_before + part


def latest_at(not_before: datetime, not_after: datetime) -> datetime:
    """Return when a certificate is renewed whatever its CA suggests; from then on it is an emergency."""
    lifetime = not_after - not_before
    return not_after - lifetime * (_LAST_PART_OF_SHORT if lifetime < _SHORT_LIFETIME else _LAST_PART)


def check_seconds(lifetime: timedelta) -> float:
    """Return the longest pause between two checks: a tenth of the lifetime, and at most half a day."""
    return min(max(lifetime.total_seconds() / 10, 1.0), _LONGEST_CHECK_SECONDS)


def check_at(check: Check | None, lifetime: timedelta, now: datetime) -> datetime:
    """Return when to look again at what nginx serves: at once without a check that showed the certificate.

    A check in the future was recorded while the clock was wrong.
    """
    if check is None or check.seen is Seen.WRONG or check.at > now:
        return now
    return check.at + timedelta(seconds=check_seconds(lifetime))


def plan(installed: Installed, origin: Origin | None, now: datetime, choose: Callable[[], float]) -> Schedule:
    """Return the first schedule of the installed certificate, by the lifetime rule; its CA, if known, is asked at once.

    `choose` returns a number between 0 and 1, evenly spread.
    """
    certificate = installed.certificate
    begin, end = certificate.not_before, certificate.not_after
    directory_url = origin.directory_url if origin else ""
    jitter = certificate.lifetime * (_JITTER * (choose() - 0.5))
    return Schedule(
        lineage=installed.lineage,
        version=installed.version,
        identifiers=certificate.identifiers,
        not_before=begin,
        not_after=end,
        directory_url=directory_url,
        account_url=origin.account_url if origin else "",
        certificate_id=certificate.certificate_id,
        rule=Rule.LIFETIME,
        renew_at=renew_at(begin, end) + jitter,
        ask_at=now if directory_url and certificate.certificate_id else None,
    )


def is_to_be_asked(schedule: Schedule, now: datetime) -> bool:
    """Return whether to ask for renewalInfo now; never after expiry (RFC 9773 section 4.3).

    A time further ahead than the longest pause was recorded while the clock was wrong.
    """
    ask_at = schedule.ask_at
    if ask_at is None or now >= schedule.not_after:
        return False
    longest = timedelta(seconds=_LONGEST_PAUSE_SECONDS * (1 + _PAUSE_JITTER))
    return ask_at <= now or ask_at > now + longest


def replan(
    schedule: Schedule, answer: RenewalInfo | NoRenewalInfo | None, now: datetime, choose: Callable[[], float]
) -> Schedule:
    """Return the schedule after the CA answered; None as the answer means that it has no renewalInfo.

    A time is chosen once per window and kept while the window stays. Without an answer only `ask_at` changes.
    """
    if isinstance(answer, RenewalInfo) and answer.window.end <= answer.window.start:
        # RFC 9773 section 4.2: treat it like a missing answer.
        answer = NoRenewalInfo("its window ends before it begins")
    match answer:
        case RenewalInfo():
            return _follow(schedule, answer, now, choose)
        case NoRenewalInfo():
            unanswered = schedule.unanswered + 1
            if answer.is_unreached:  # the first errors of a CA that was away are still retried soon
                unanswered = max(schedule.unanswered, min(unanswered, _QUICK_TRIES - 1))
            seconds = _pause_seconds(answer, unanswered, choose)
        case None:
            unanswered, seconds = 0, _spread(_LONGEST_PAUSE_SECONDS, choose)
    return replace(schedule, ask_at=now + timedelta(seconds=seconds), unanswered=unanswered)


def _follow(schedule: Schedule, answer: RenewalInfo, now: datetime, choose: Callable[[], float]) -> Schedule:
    window, at = answer.window, schedule.renew_at
    if window != schedule.window:
        # Section 4.2: evenly random. In a window that is over, every time is in the past.
        chosen = window.start + (window.end - window.start) * choose()
        at = min(chosen, latest_at(schedule.not_before, schedule.not_after))
        at = max(at, schedule.held_until or at)
    seconds = _USUAL_PAUSE_SECONDS if answer.retry_after_seconds is None else _clamp(answer.retry_after_seconds)
    return replace(
        schedule,
        rule=Rule.ARI,
        renew_at=at,
        ask_at=now + timedelta(seconds=seconds),
        window=window,
        explanation_url=answer.explanation_url,
        unanswered=0,
    )


def news(before: Schedule, after: Schedule) -> str | None:
    """Return what to log: that the window moved to an earlier time or is not followed yet, or a new explanation."""
    window, earlier = after.window, before.window
    if window is None:
        return None
    url = after.explanation_url
    if is_held(after) and not is_held(before):
        return (
            "the CA suggests an early renewal again, although this certificate just replaced one for that reason; "
            f"it is renewed at {format_time(after.renew_at)} at the earliest"
        )
    if earlier is not None and window.start < earlier.start:
        why = f", see {url}" if url else ""
        return (
            f"the CA suggests an earlier renewal, from {format_time(window.start)} instead of"
            f" {format_time(earlier.start)}{why}"
        )
    if url is not None and url != before.explanation_url:
        return f"the CA suggests renewal from {format_time(window.start)}, see {url}"
    return None


def is_held(schedule: Schedule) -> bool:
    """Return whether the CA suggests an earlier renewal than its last early one permits."""
    return schedule.rule is Rule.ARI and schedule.renew_at == schedule.held_until


def _pause_seconds(answer: NoRenewalInfo, unanswered: int, choose: Callable[[], float]) -> float:
    if answer.is_unreached:
        pause = min(_SHORTEST_PAUSE_SECONDS * 2.0 ** min(unanswered, _QUICK_TRIES), _UNREACHED_PAUSE_SECONDS)
        return _clamp(answer.retry_after_seconds or 0.0) + pause * (0.5 + choose())
    if answer.retry_after_seconds is not None:
        return _clamp(answer.retry_after_seconds)
    if answer.is_passing and unanswered <= _QUICK_TRIES:
        return _spread(_SHORTEST_PAUSE_SECONDS * 2**unanswered, choose)
    return _spread(_USUAL_PAUSE_SECONDS, choose)


def _clamp(seconds: float) -> float:
    return min(max(seconds, _SHORTEST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)


def _spread(seconds: float, choose: Callable[[], float]) -> float:
    return seconds * (1 + _PAUSE_JITTER * (choose() - 0.5))


def due(lineage: Lineage, installed: Installed | None, schedule: Schedule | None, *, now: datetime) -> Due | None:
    """Return why the certificate is due, or None when the installed one is good until the next pass.

    `schedule` is that of the installed certificate; without one (a placeholder has none) the lifetime rule decides. An
    external certificate is never due.
    """
    if installed is not None and installed.certificate.is_self_signed and not lineage.is_external:
        return Due(lineage, PLACEHOLDER)
    if installed is not None and (schedule is None or schedule.version != installed.version):
        schedule = plan(installed, None, now, lambda: 0.5)
    reason = due_reason(lineage, installed.version if installed else None, schedule, now)
    return Due(lineage, reason) if reason else None


def due_reason(lineage: Lineage, version: str | None, schedule: Schedule | None, now: datetime) -> str | None:
    """Return why the live version is due according to `schedule`, its own schedule; None when it is not due.

    Both a pass and `status`, which reads no certificate, decide here.
    """
    if lineage.is_external:
        return None
    if version is None:
        return "no certificate yet"
    if schedule is None:
        return None
    if schedule.identifiers != frozenset(lineage.identifiers):
        return _changed(lineage, schedule)
    if _is_of_another_ca(lineage, schedule):
        return "the installed certificate was issued by a CA that is no longer configured"
    return explain(schedule, now) if now >= schedule.renew_at else None


def _changed(lineage: Lineage, schedule: Schedule) -> str:
    lacking = [one for one in lineage.identifiers if one not in schedule.identifiers]
    is_part = lineage.drops_failing_names and len(lacking) == len(lineage.identifiers) - len(schedule.identifiers)
    if lacking and is_part:
        return f"the installed certificate lacks {', '.join(map(str, lacking))}"
    return "the identifiers in the settings changed"


def _is_of_another_ca(lineage: Lineage, schedule: Schedule) -> bool:
    """Return whether the CA of the live certificate is known and no longer configured."""
    known = schedule.directory_url
    return bool(known and lineage.directory_urls) and known not in lineage.directory_urls


def explain(schedule: Schedule, now: datetime) -> str:
    """Return the rule that set the time of renewal, as a clause."""
    window, at = schedule.window, schedule.renew_at
    if schedule.rule is Rule.REVOKED:
        return f"it was revoked at {format_time(at)}"
    if schedule.rule is Rule.RESTORED:
        return _RESTORED
    if schedule.rule is Rule.LIFETIME or window is None:
        part = "half" if schedule.not_after - schedule.not_before < _SHORT_LIFETIME else "two thirds"
        return f"{part} of the lifetime {'passed at' if at <= now else 'will have passed at'} {format_time(at)}"
    if is_held(schedule):
        waits = "waited" if at <= now else "waits"
        return f"the CA suggests another early renewal, which {waits} until {format_time(at)}{_see(schedule)}"
    if window.start > at:
        return f"the last part of the lifetime begins at {format_time(at)}, before the CA's suggested window"
    return f"{_window(window, now)}{_see(schedule)}"


def _window(window: Window, now: datetime) -> str:
    if window.end <= now:
        return f"the CA's suggested window ended at {format_time(window.end)}"
    began = "began" if window.start <= now else "begins"
    return f"the CA's suggested window {began} at {format_time(window.start)} and ends at {format_time(window.end)}"


def _see(schedule: Schedule) -> str:
    return f" (see {schedule.explanation_url})" if schedule.explanation_url else ""
