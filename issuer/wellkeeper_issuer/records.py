"""The types of what the issuer records between passes: frozen, without I/O. Times are UTC, durations are seconds."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from wellkeeper_issuer.model import Attempt
from wellkeeper_node.errors import Retry
from wellkeeper_node.model import Flip, Identifier, Installed

# The node whose nginx runs beside the issuer.
LOCAL_NODE: Final = "local"


@dataclass(frozen=True, slots=True)
class Origin:
    """The issuer of an installed certificate: the CA's directory URL and our account there, "" when unknown."""

    directory_url: str
    account_url: str


@dataclass(frozen=True, slots=True)
class Issued:
    """A version that was installed, and who issued it."""

    installed: Installed
    origin: Origin


@dataclass(frozen=True, slots=True)
class Window:
    """The CA's suggested window for the renewal (RFC 9773 section 4.2); `end` is after `start`."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class RenewalInfo:
    """A valid renewalInfo answer; `retry_after_seconds` is as the CA sent it, without limits."""

    window: Window
    explanation_url: str | None = None
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class NoRenewalInfo:
    """The lack of a valid answer. `is_passing`: worth a retry soon; `is_unreached`: the CA did not get the question."""

    reason: str
    is_passing: bool = False
    retry_after_seconds: float | None = None
    is_unreached: bool = False


class Rule(StrEnum):
    """The rule that set the time of renewal. REVOKED: we revoked the certificate. RESTORED: nodes have a newer one."""

    ARI = "ari"
    LIFETIME = "lifetime"
    REVOKED = "revoked"
    RESTORED = "restored"


@dataclass(frozen=True, slots=True)
class Schedule:
    """The time at which the live certificate is renewed, chosen once; one row per lineage.

    `version` is the live version; `directory_url` and `account_url` issued it ("" if unknown). `certificate_id` is its
    RFC 9773 name, None without an authority key identifier. `ask_at` is when renewalInfo is asked for next, None for
    never; `unanswered` counts the requests in a row without an answer. Until `held_until`, see `obtain.early`.
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
    held_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """The last failure of a lineage, the count of failures in a row since `first_at`, and the time of the next try.

    `identifiers` are those that were ordered, empty if unknown; the CA refuses those in `refused`, always the same ones
    since `refused_since`.
    """

    lineage: str
    count: int
    stage: str
    message: str
    retry: Retry
    first_at: datetime
    last_at: datetime
    next_try_at: datetime
    problem: str | None = None
    identifiers: frozenset[Identifier] = frozenset()
    refused: frozenset[Identifier] = frozenset()
    refused_since: datetime | None = None


class Spent(StrEnum):
    """A kind of request or event that a CA counts."""

    ORDER = "order"
    CERTIFICATE = "certificate"
    FAILED_VALIDATION = "failed validation"


class Scope(StrEnum):
    """The key by which a CA counts."""

    ACCOUNT = "account"
    REGISTERED_DOMAIN = "registered domain"
    EXACT_SET = "exact set"
    IDENTIFIER = "identifier"


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate limit: at most `count` of `spent`, for one value of `scope`, in any `seconds`.

    With `exempts_renewals`, an order for identifiers that already had a certificate does not count. Orders that
    replace a certificate inside its suggested window never count (RFC 9773 section 5 with Let's Encrypt's rules).
    """

    spent: Spent
    scope: Scope
    count: int
    seconds: float
    exempts_renewals: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """One request to a CA, as one of its limits counts it; `value` is that of `scope`: a domain, a set, ….

    Exempt uses are recorded, too, so that people can see them.
    """

    directory_url: str
    spent: Spent
    scope: Scope
    value: str
    at: datetime
    is_exempt: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """The rest of one limit for one value of its scope; `free_at` is when the next use becomes available."""

    limit: Limit
    value: str
    used: int
    free_at: datetime | None

    @property
    def left(self) -> int:
        return max(self.limit.count - self.used, 0)


@dataclass(frozen=True, slots=True)
class Blocked:
    """A CA that we do not contact before `until`: it sent 429, 503 with Retry-After, or no answer.

    `lineage` is "" when the block covers all requests to this CA.
    """

    directory_url: str
    lineage: str
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class FetchCount:
    """The number of `fetches` of a token that preceded each of the last `repeats` verdicts of a CA.

    The CA is asked `quiet_seconds` after the last one of them, once there were enough repeats.
    """

    directory_url: str
    fetches: int
    repeats: int
    quiet_seconds: float


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The result of the last rehearsal of a lineage."""

    lineage: str
    at: datetime
    is_well: bool
    detail: str


class Seen(StrEnum):
    """The result of the last look at nginx; hidden: it has loaded the certificate where no handshake can be made."""

    SERVED = "served"
    HIDDEN = "hidden"
    UNUSED = "unused"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Check:
    """The last look at what nginx serves, while `version` was live.

    `leaf_not_before` and `leaf_not_after` date another certificate that clients get, `served_version` is the last one
    that handshakes showed, and `returned_from` the one that was left because nginx refused handshakes with it.
    """

    lineage: str
    version: str
    seen: Seen
    at: datetime
    leaf_not_before: datetime | None = None
    leaf_not_after: datetime | None = None
    served_version: str | None = None
    returned_from: str | None = None


class Notice(StrEnum):
    """A kind of notice, sent once each: about a lineage, this host (FINDING), or a node (the last four before TEST)."""

    FAILURE = "failure"
    DANGER = "danger"
    RECOVERY = "recovery"
    RENEWED = "renewed"
    FINDING = "finding"
    BEHIND = "behind"
    CAUGHT_UP = "caught up"
    JOINED = "joined"
    FORGOTTEN = "forgotten"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class LineageRecord:
    """Everything recorded about one certificate, read once at the start of its run.

    `undelivered` is installed (or was rolled back), but nginx may not have loaded it; with `is_unserved`, nginx has
    loaded it, but is not verified to serve it. `owed_hook` is the version whose deploy hook has not succeeded yet;
    `notices` are those sent since the last recovery. `flip` is the last one, delivered or not.
    """

    attempt: Attempt | None = None
    origin: Origin | None = None
    flip: Flip | None = None
    check: Check | None = None
    undelivered: Flip | None = None
    is_installed: bool = False
    is_unserved: bool = False
    owed_hook: str | None = None
    schedule: Schedule | None = None
    failure: Failure | None = None
    notices: frozenset[Notice] = frozenset()


class Event(StrEnum):
    """The time when a hook runs: before renewals, after nginx loads a certificate, after all, after a failure."""

    PRE = "pre"
    DEPLOY = "deploy"
    POST = "post"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Occasion:
    """The input of a hook. `lineages` are all for `pre` and `post`, one for the others.

    `renewed` and `failed` are the identifiers of the certificates that were renewed, or not, for `post`. With
    `is_rehearsal`, the hook must change nothing.
    """

    lineages: tuple[str, ...]
    identifiers: tuple[Identifier, ...] = ()
    live_path: str = ""
    error: str = ""
    is_rehearsal: bool = False
    renewed: tuple[Identifier, ...] = ()
    failed: tuple[Identifier, ...] = ()
