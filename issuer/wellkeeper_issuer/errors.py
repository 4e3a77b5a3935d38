"""The errors of CAs, state and settings; those of what happens beside nginx are in `wellkeeper_node.errors`.

WellkeeperError
    SettingsError       the settings, or what they point at
    JournalError        the state on disk
    HookError           a hook of the administrator failed
    DaemonError         the daemon, or the way to it
    OrderError          newOrder, account, directory
        DeferredError       the CA was not asked: it, or its limits, have us wait
    ChallengeError      the CA did not accept an authorization
    FinalizeError       the certificate was not issued
        ChainError          it was, but is not what was asked for
            DatesError          it is what was asked for, but not valid now by our clock
"""

from wellkeeper_node.errors import Retry, WellkeeperError


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


class ChallengeError(WellkeeperError):
    stage = "validate"


class FinalizeError(WellkeeperError):
    stage = "finalize"


class ChainError(FinalizeError):
    """The CA issued what we do not take: it counts against its limits all the same."""


class DatesError(ChainError):
    """The chain is not valid at this time by our clock, which may be the one that is wrong."""
