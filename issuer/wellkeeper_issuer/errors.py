"""Errors of CAs, state and settings; errors beside nginx are in `wellkeeper_node.errors`.

WellkeeperError
    SettingsError       the settings, or files that they name, are not usable
    JournalError        the state on disk is not usable
        BusyError           a command owns it, until that ends
    HookError           a hook or notification of the administrator failed
        RefusedError        a target of notifications did not accept this one; it may accept others
    BackupError         a backup was not written, or cannot be restored
    DaemonError         the daemon refused a request or cannot be reached
    OrderError          the CA's directory, our account, or the order failed
        UnusableOrderError  the CA's replies about one order cannot be used; a new order may succeed
        DeferredError       the CA was not contacted: we wait for it or for its rate limits
    ChallengeError      the CA did not accept an authorization
        UnusableAuthorizationError  the CA's replies about it cannot be used; a new order may succeed
    FinalizeError       the certificate was not issued
        ChainError          it was issued, but is not what we ordered
            DatesError          it is what we ordered, but not valid now by our clock
"""

from wellkeeper_node.errors import Retry, WellkeeperError


class SettingsError(WellkeeperError):
    default_retry = Retry.NEVER
    has_own_lines = True


class JournalError(WellkeeperError):
    stage = "journal"


class BusyError(JournalError):
    pass


class HookError(WellkeeperError):
    stage = "hook"


class RefusedError(HookError):
    pass


class BackupError(WellkeeperError):
    stage = "backup"
    default_retry = Retry.NEVER


class DaemonError(WellkeeperError):
    stage = "daemon"
    has_own_lines = True  # of our own daemon, which bounds them


class OrderError(WellkeeperError):
    stage = "order"


class UnusableOrderError(OrderError):
    """It concerns this order alone, not the CA."""


class DeferredError(OrderError):
    """Nothing was tried and nothing failed; `retry_at` is set."""

    default_retry = Retry.LATER


class ChallengeError(WellkeeperError):
    stage = "validate"


class UnusableAuthorizationError(ChallengeError):
    """It concerns the order of this authorization alone."""


class FinalizeError(WellkeeperError):
    stage = "finalize"


class ChainError(FinalizeError):
    """The CA issued a certificate that we refuse; it still counts against the CA's limits."""


class DatesError(ChainError):
    """The chain is not valid now by our clock, which may be wrong."""
