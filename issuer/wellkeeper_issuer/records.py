"""The nouns of what the issuer remembers between passes: schedules, failures, what was asked of a CA, what was told.

Frozen dataclasses without I/O, as in `wellkeeper_issuer.model`. Times are aware and UTC; durations are seconds.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from wellkeeper_issuer.model import Attempt
from wellkeeper_node.errors import Retry
from wellkeeper_node.model import Flip, Identifier

# The node whose nginx runs beside the issuer.
LOCAL_NODE: Final = "local"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who issued what is installed: the CA's directory and our account there; "" when nobody wrote it down."""

    directory_url: str
    account_url: str


@dataclass(frozen=True, slots=True)
class Window:
    """When the CA suggests to renew (RFC 9773 section 4.2); `end` comes after `start`."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class RenewalInfo:
    """A usable answer of the CA's renewalInfo; `retry_after_seconds` as the CA sent it, not clamped yet."""

    window: Window
    explanation_url: str | None = None
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class NoRenewalInfo:
    """No usable answer, with the reason; `is_passing`: worth asking again soon (a time-out, a 5xx)."""

    reason: str
    is_passing: bool = False
    retry_after_seconds: float | None = None


class Rule(StrEnum):
    """What decided when a certificate is renewed; revoked: by us, so that nobody need be asked."""

    ARI = "ari"
    LIFETIME = "lifetime"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the certificate that is live is renewed, chosen once; a row a lineage.

    `version` names what is live, `directory_url` and `account_url` who issued it ("" when nobody wrote it down);
    `certificate_id` is its RFC 9773 name, None without an authority key identifier. `ask_at` is when renewalInfo is
    asked next, None for never (no ARI at this CA). `unanswered` counts the asks in a row without an answer.
    """

    lineage: str
    version: str
    identifiers: frozenset[Identifier]
    not_before: datetime
    not_after: datetime
    directory_url: str
    account_url: str
    certificate_id: str | None
    rule: Rule
    renew_at: datetime
    ask_at: datetime | None = None
    window: Window | None = None
    explanation_url: str | None = None
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong last for a lineage, how often in a row since `first_at`, and when it is tried again."""

    lineage: str
    count: int
    stage: str
    message: str
    retry: Retry
    first_at: datetime
    last_at: datetime
    next_try_at: datetime
    problem: str | None = None


class Spent(StrEnum):
    """What a CA counts."""

    ORDER = "order"
    CERTIFICATE = "certificate"
    FAILED_VALIDATION = "failed validation"


class Scope(StrEnum):
    """What a CA counts it by."""

    ACCOUNT = "account"
    REGISTERED_DOMAIN = "registered domain"
    EXACT_SET = "exact set"
    IDENTIFIER = "identifier"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` of what is `spent`, for one value of `scope`, in any `seconds`.

    `exempts_renewals`: an order for a set of identifiers that had a certificate before does not count. Orders that
    replace a certificate inside its suggested window never count (RFC 9773 section 5 with Let's Encrypt's rules).
    """

    spent: Spent
    scope: Scope
    count: int
    seconds: float
    exempts_renewals: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """One thing asked of a CA, as one of its limits counts it; `value` is what `scope` says: a domain, a set, ….

    What is exempt from the limit is booked all the same, so that people can see it.
    """

    directory_url: str
    spent: Spent
    scope: Scope
    value: str
    at: datetime
    is_exempt: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left of one limit for one value of its scope; `free_at`: when the next one comes back."""

    limit: Limit
    value: str
    used: int
    free_at: datetime | None

    @property
    def left(self) -> int:
        return max(self.limit.count - self.used, 0)


@dataclass(frozen=True, slots=True)
class Blocked:
    """What the CA itself asked us to wait for (429, 503 with Retry-After, or no answer at all): nothing until then.

    `lineage` is "" when it concerns everything at this CA.
    """

    directory_url: str
    lineage: str
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """How the last rehearsal of a lineage ended."""

    lineage: str
    at: datetime
    is_well: bool
    detail: str


class Notice(StrEnum):
    """What the administrator is told about a lineage, once each."""

    FAILURE = "failure"
    DANGER = "danger"
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True)
class LineageRecord:
    """Everything that the state knows about one certificate, read once at the start of its run.

    `undelivered` is what is in place (or was rolled back) and nginx may not have read; with `is_unserved`, nginx has
    read it and was not proven to serve it. `owed_hook` is the version whose deploy hook has not succeeded yet;
    `notices` are those sent since the last recovery.
    """

    attempt: Attempt | None = None
    origin: Origin | None = None
    undelivered: Flip | None = None
    is_installed: bool = False
    is_unserved: bool = False
    owed_hook: str | None = None
    schedule: Schedule | None = None
    failure: Failure | None = None
    notices: frozenset[Notice] = frozenset()


class Event(StrEnum):
    """When a hook runs: before what is due, when nginx took a certificate, after all, when one failed."""

    PRE = "pre"
    DEPLOY = "deploy"
    POST = "post"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a hook is told. Of `pre` and `post`, `lineages` are all; of the others one.

    `is_rehearsal`: the hook is to try, not to do.
    """

    lineages: tuple[str, ...]
    identifiers: tuple[Identifier, ...] = ()
    live_path: str = ""
    error: str = ""
    is_rehearsal: bool = False
