"""The base of all errors, and those of what happens beside nginx. A message says what failed, why, and what to do next.

WellkeeperError
    PublishError        a token did not reach every responder, or nginx does not serve it
    InstallError        the certificate could not be put in place
    ReloadError         nginx did not take the new configuration
    VerifyError         nginx does not serve what was installed
"""

from datetime import datetime
from enum import Enum
from typing import ClassVar

from wellkeeper_node.model import Identifier, Problem


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


class PublishError(WellkeeperError):
    stage = "publish"


class InstallError(WellkeeperError):
    stage = "install"


class ReloadError(WellkeeperError):
    stage = "reload"


class VerifyError(WellkeeperError):
    stage = "verify"
