"""The base of all errors, and the errors of a node. A message says what failed, why, and what to do next.

WellkeeperError
    PublishError        a token did not reach every responder, or nginx does not serve it
    InstallError        the certificate could not be installed
        MissingVersionError     the version to make live is not in the archive
    ReloadError         nginx did not load the new configuration
        RefusedError            it keeps the one that it loaded before
        EndedError              it ended, perhaps because of the new one
    VerifyError         nginx does not serve the installed certificate
    FleetError          a key, a bundle or the manifest of the fleet cannot be used
        OlderManifestError      a newer manifest is kept
        WrongBundleError        a bundle that no node can use
    RecordsError        a record was not written or read
        UnavailableError        no answer; a write may still have happened
        ConflictError           another version is stored than the expected one
        LeaseLostError          the lease ended, or another one began
        RecordRefusedError      the store does not take this record, though it answers
        JoinRefusedError        the issuer, or the relay for it, refused a request to join
"""

from datetime import datetime
from enum import Enum
from typing import ClassVar

from wellkeeper_client.foreign_text import LONGEST_SENTENCE, one_line
from wellkeeper_node.model import Certificate, Identifier, Problem


class Retry(Enum):
    """The time to retry: never without a change, at the next pass, or after hours."""

    NEVER = "never"
    SOON = "soon"
    LATER = "later"


class WellkeeperError(Exception):
    """The base of all errors, in three lines for the administrator; as a string it is one line, for logs.

    `what` failed, with the certificate, node or file; `why`, in the other side's words; `remedy`: a sentence with one
    command or one line to change. `why` and `remedy` may be empty. `certificate` is the lineage's name once known;
    `problem` the CA's problem document, if the CA sent one; `retry_at` the earliest time of the next try, if the CA
    named one; `identifiers` those that the CA refused, `accepted` those that it accepted in the same order.
    """

    stage: ClassVar[str] = "settings"
    default_retry: ClassVar[Retry] = Retry.SOON
    # For errors that quote only our own texts and files; all others are bounded, since they may quote foreign words.
    has_own_lines: ClassVar[bool] = False

    def __init__(  # noqa: PLR0913 - the lines are its text, the rest are keywords
        self,
        what: str,
        why: str = "",
        remedy: str = "",
        *,
        problem: Problem | None = None,
        retry: Retry | None = None,
        retry_at: datetime | None = None,
    ) -> None:
        if not self.has_own_lines:
            what, why, remedy = (one_line(text, LONGEST_SENTENCE) for text in (what, why, remedy))
        super().__init__(what, why, remedy)
        self.what = what
        self.why = why
        self.remedy = remedy
        self.problem = problem
        self.retry = retry or self.default_retry
        self.retry_at = retry_at
        self.identifiers: tuple[Identifier, ...] = ()
        self.accepted: tuple[Identifier, ...] = ()
        self.certificate: str | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """Return one to three lines: what, why and remedy, without those that are empty."""
        return tuple(line for line in (self.what, self.why, self.remedy) if line)

    def __str__(self) -> str:
        failure = f"{self.what}: {self.why}" if self.why else self.what
        return f"{failure.rstrip('.')}. {self.remedy}" if self.remedy else failure


class PublishError(WellkeeperError):
    stage = "publish"


class InstallError(WellkeeperError):
    stage = "install"


class LockedError(InstallError):
    """Another process holds the lock."""


class MissingVersionError(InstallError):
    """Nothing but another certificate can replace the version."""


class ReloadError(WellkeeperError):
    stage = "reload"


class RefusedError(ReloadError):
    """nginx refuses its configuration on disk and keeps the one that it loaded before."""


class EndedError(ReloadError):
    """nginx, all its workers or the agent beside it ended while it loaded the new configuration."""


class VerifyError(WellkeeperError):
    """`leaf` is the certificate that clients get instead, if any; `is_refused`: nginx refuses a handshake.

    `unrelated` is one for other names that they get instead; `is_unanswered`: no handshake could be made at an address.
    """

    stage = "verify"
    leaf: Certificate | None = None
    unrelated: Certificate | None = None
    is_refused: bool = False
    is_unanswered: bool = False


class FleetError(WellkeeperError):
    stage = "fleet"


class OlderManifestError(FleetError):
    """The sender has an old manifest, or replays one; it should get the kept one."""


class WrongBundleError(FleetError):
    """The bundle that the manifest lists is not a usable certificate, on this node or any other."""


class RecordsError(WellkeeperError):
    stage = "records"


class UnavailableError(RecordsError):
    """The store gave no usable answer. It may have done what it was asked: repeat it, with the same condition."""


class ConflictError(RecordsError):
    """The condition of a write is false. Read the record, and decide again."""


class LeaseLostError(RecordsError):
    """Another may hold the lease now: stop writing."""


class RecordRefusedError(RecordsError):
    """The record is too large, there is no room for it, or its key is unknown: repeating it at once does not help."""


class BusyError(UnavailableError):
    """The store has too much to do at once: repeat it in a second."""


class JoinRefusedError(RecordsError):
    """Another request with the same invite will be refused, too, unless the invite was only not there yet."""
