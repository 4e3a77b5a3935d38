"""The error tree. A message names the stage, the certificate, the peer, the CA's words, and what to do next.

WellkeeperError
    SettingsError       the settings, or what they point at
    JournalError        the state on disk
    HookError           a hook of the administrator failed
    DaemonError         the daemon, or the way to it
    OrderError          newOrder, account, directory
        DeferredError       the CA was not asked: it, or its limits, have us wait
    PublishError        a token did not reach every responder, or nginx does not serve it
    ChallengeError      the CA did not accept an authorization
    FinalizeError       the certificate was not issued
        ChainError          it was, but is not what was asked for
            DatesError          it is what was asked for, but not valid now by our clock
    InstallError        the certificate could not be put in place
    ReloadError         nginx did not take the new configuration
    VerifyError         nginx does not serve what was installed
"""

from datetime import datetime
from enum import Enum
from typing import ClassVar

from wellkeeper_issuer.model import Identifier, Problem


class Retry(Enum):
    """When trying again makes sense: never without a change, at the next pass, or after hours."""

    NEVER = "never"
    SOON = "soon"
    LATER = "later"


class WellkeeperError(Exception):
    """Base of all our errors; the text is a sentence for the administrator.

    `certificate` is the lineage's name once known; `problem` the CA's problem document, if the CA sent one; `retry_at`
    is before when it must not be tried again, if anybody said so; `identifiers` are those that the CA found wanting.
    """

    stage: ClassVar[str] = "settings"
    default_retry: ClassVar[Retry] = Retry.SOON

    def __init__(
        self,
        message: str,
        *,
        problem: Problem | None = None,
        retry: Retry | None = None,
        retry_at: datetime | None = None,
    ) -> None:
        super().__init__(message)
        self.problem = problem
        self.retry = retry or self.default_retry
        self.retry_at = retry_at
        self.identifiers: tuple[Identifier, ...] = ()
        self.certificate: str | None = None


class SettingsError(WellkeeperError):
    default_retry = Retry.NEVER


class JournalError(WellkeeperError):
    stage = "journal"


class HookError(WellkeeperError):
    stage = "hook"


class DaemonError(WellkeeperError):
    stage = "daemon"


class OrderError(WellkeeperError):
    stage = "order"


class DeferredError(OrderError):
    """Nothing was tried and nothing went wrong; `retry_at` is set."""

    default_retry = Retry.LATER


class PublishError(WellkeeperError):
    stage = "publish"


class ChallengeError(WellkeeperError):
    stage = "validate"


class FinalizeError(WellkeeperError):
    stage = "finalize"


class ChainError(FinalizeError):
    """The CA issued what we do not take: it counts against its limits all the same."""


class DatesError(ChainError):
    """The chain is not valid at this time by our clock, which may be the one that is wrong."""


class InstallError(WellkeeperError):
    stage = "install"


class ReloadError(WellkeeperError):
    stage = "reload"


class VerifyError(WellkeeperError):
    stage = "verify"
