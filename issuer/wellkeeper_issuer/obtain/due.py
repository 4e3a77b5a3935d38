"""due: when a certificate is renewed, by which rule, and whether that time has come.

The CA's suggested window decides (RFC 9773), else the lifetime rule; near the end neither is waited for. Everything
follows from the certificate's own dates and the window: no clock that jumped can put a renewal off.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from wellkeeper_issuer.model import Due, Lineage
from wellkeeper_issuer.records import NoRenewalInfo, Origin, RenewalInfo, Rule, Schedule, Window
from wellkeeper_node.model import Installed
from wellkeeper_node.wording import format_time

# Reasons that no schedule tells.
PLACEHOLDER: Final = "only a self-signed placeholder is installed"
ISSUED: Final = "the CA issued a certificate that is not in place yet"

_SHORT_LIFETIME: Final = timedelta(days=10)
# As wide as Boulder's own windows: 2 % of the lifetime around the same time (core/objects.go).
_JITTER: Final = 0.02
# certmagic renews in the last twentieth whatever the CA says. Of six days that would be seven hours, which one night's
# trouble uses up: a tenth then.
_LAST_PART: Final = 1 / 20
_LAST_PART_OF_SHORT: Final = 1 / 10
# RFC 9773 section 4.3.2: clamped, for example between a minute and a day; after a lasting error, six hours.
_SHORTEST_PAUSE_SECONDS: Final = 60.0
_LONGEST_PAUSE_SECONDS: Final = 86_400.0
_USUAL_PAUSE_SECONDS: Final = 21_600.0
# Section 4.3.3: after that many temporary errors in a row, as after a lasting one.
_QUICK_TRIES: Final = 6
# Of pauses that no CA chose: certificates of one night are not all asked for at once for ever.
_PAUSE_JITTER: Final = 0.1
# Twice a day at least, so that a window that moved is seen.
_LONGEST_CHECK_SECONDS: Final = 43_200.0


def renew_at(not_before: datetime, not_after: datetime) -> datetime:
    """When the lifetime rule wants a certificate with these dates renewed: two thirds, or half when under ten days.

    Both are what Let's Encrypt's integration guide asks for.
    """
    lifetime = not_after - not_before
    part = lifetime / 2 if lifetime < _SHORT_LIFETIME else lifetime * 2 / 3
    return not_before + part


def latest_at(not_before: datetime, not_after: datetime) -> datetime:
    """When a certificate with these dates is renewed whatever its CA suggests; from then on it is an emergency."""
    lifetime = not_after - not_before
    return not_after - lifetime * (_LAST_PART_OF_SHORT if lifetime < _SHORT_LIFETIME else _LAST_PART)


def check_seconds(lifetime: timedelta) -> float:
    """How often at least a certificate of this lifetime is to be looked at: a tenth of it, and twice a day."""
    return min(max(lifetime.total_seconds() / 10, 1.0), _LONGEST_CHECK_SECONDS)


def plan(installed: Installed, origin: Origin | None, now: datetime, choose: Callable[[], float]) -> Schedule:
    """The first schedule of what is installed, by the lifetime rule; its CA, when known, is asked at once.

    `choose` gives a number between 0 and 1, evenly spread.
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
    """Whether renewalInfo is asked for now; never after expiry (RFC 9773 section 4.3).

    A time that lies further ahead than the longest pause was written by a clock that was wrong.
    """
    ask_at = schedule.ask_at
    if ask_at is None or now >= schedule.not_after:
        return False
    longest = timedelta(seconds=_LONGEST_PAUSE_SECONDS * (1 + _PAUSE_JITTER))
    return ask_at <= now or ask_at > now + longest


def replan(
    schedule: Schedule, answer: RenewalInfo | NoRenewalInfo | None, now: datetime, choose: Callable[[], float]
) -> Schedule:
    """The schedule after the CA answered; None: it has no renewalInfo.

    A time is chosen once for a window and kept while the window stays. Without an answer all stays but `ask_at`.
    """
    if isinstance(answer, RenewalInfo) and answer.window.end <= answer.window.start:
        # RFC 9773 section 4.2: to be treated like no answer at all.
        answer = NoRenewalInfo("its window ends before it begins")
    match answer:
        case RenewalInfo():
            return _follow(schedule, answer, now, choose)
        case NoRenewalInfo():
            unanswered = schedule.unanswered + 1
            seconds = _pause_seconds(answer, unanswered, choose)
        case None:
            unanswered, seconds = 0, _spread(_LONGEST_PAUSE_SECONDS, choose)
    return replace(schedule, ask_at=now + timedelta(seconds=seconds), unanswered=unanswered)


def _follow(schedule: Schedule, answer: RenewalInfo, now: datetime, choose: Callable[[], float]) -> Schedule:
    window, at = answer.window, schedule.renew_at
    if window != schedule.window:
        # Section 4.2: evenly random. In a window that is over, every time has come.
        chosen = window.start + (window.end - window.start) * choose()
        at = min(chosen, latest_at(schedule.not_before, schedule.not_after))
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
    """What people should hear of an answer: a window that moved to an earlier time, or an explanation that is new."""
    window, earlier = after.window, before.window
    if window is None:
        return None
    url = after.explanation_url
    if earlier is not None and window.start < earlier.start:
        why = f", for which it gives the reason at {url}" if url else ""
        return (
            f"the CA suggests to renew earlier than before, from {format_time(window.start)} on instead of"
            f" {format_time(earlier.start)}{why}"
        )
    if url is not None and url != before.explanation_url:
        return f"the CA suggests to renew from {format_time(window.start)} on, for which it gives the reason at {url}"
    return None


def _pause_seconds(answer: NoRenewalInfo, unanswered: int, choose: Callable[[], float]) -> float:
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
    """Return None when the installed certificate does until the next pass.

    `schedule` is that of the installed certificate; without one (a placeholder has none) the lifetime rule decides.
    """
    if installed is not None and installed.certificate.is_self_signed:
        return Due(lineage, PLACEHOLDER)
    if installed is not None and (schedule is None or schedule.version != installed.version):
        schedule = plan(installed, None, now, lambda: 0.5)
    reason = due_reason(lineage, installed.version if installed else None, schedule, now)
    return Due(lineage, reason) if reason else None


def due_reason(lineage: Lineage, version: str | None, schedule: Schedule | None, now: datetime) -> str | None:
    """Return why what is live is renewed, as far as `schedule`, the one of this version, tells; None when it is not.

    The one place that decides this: for a pass, and for a look that reads no certificate.
    """
    if version is None:
        return "no certificate yet"
    if schedule is None:
        return None
    if schedule.identifiers != frozenset(lineage.identifiers):
        return "the identifiers in the settings changed"
    if _is_of_another_ca(lineage, schedule):
        return "the installed certificate was issued by another CA than the settings name"
    return explain(schedule, now) if now >= schedule.renew_at else None


def _is_of_another_ca(lineage: Lineage, schedule: Schedule) -> bool:
    """Whether it is known who issued what is live, and the settings no longer name that CA."""
    known = schedule.directory_url
    return bool(known and lineage.directory_urls) and known not in lineage.directory_urls


def explain(schedule: Schedule, now: datetime) -> str:
    """The rule that set the time of renewal, as a clause."""
    window, at = schedule.window, schedule.renew_at
    if schedule.rule is Rule.REVOKED:
        return f"it was revoked at {format_time(at)}"
    if schedule.rule is Rule.LIFETIME or window is None:
        part = "half" if schedule.not_after - schedule.not_before < _SHORT_LIFETIME else "two thirds"
        return f"{part} of the lifetime {'passed' if at <= now else 'will have passed'} at {format_time(at)}"
    if window.start > at:
        return f"the lifetime's last part begins at {format_time(at)}, before the CA's suggested window does"
    return f"{_window(window, now)}{_see(schedule)}"


def _window(window: Window, now: datetime) -> str:
    if window.end <= now:
        return f"the CA's suggested window ended at {format_time(window.end)}"
    began = "began" if window.start <= now else "begins"
    return f"the CA's suggested window {began} at {format_time(window.start)} and ends at {format_time(window.end)}"


def _see(schedule: Schedule) -> str:
    return f" (see {schedule.explanation_url})" if schedule.explanation_url else ""
