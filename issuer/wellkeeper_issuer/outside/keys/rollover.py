"""Replace the account key of one CA; at no point is the key lost or unknown to a responder.

The next key is durable before it is sent anywhere, and replaces the current one only when the CA confirms it. Killed at
any point, the same call resumes (docs/design/0007-cas.md).
"""

from collections.abc import Sequence
from typing import Protocol

from wellkeeper_issuer.advice import problems
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_issuer.outside.keys.key_files import AccountKey, account_thumbprint
from wellkeeper_issuer.outside.keys.pins import Holder, Pin, find_unpinned
from wellkeeper_node.errors import PublishError, Retry


class Account(Protocol):
    """Our account at the CA, which `outside.ca.account.AccountAtCa` implements."""

    @property
    def directory_url(self) -> str: ...

    @property
    def ca_name(self) -> str: ...

    async def changeable_url(self) -> str:
        """Return the account's URL. Raises OrderError when there is no usable account or the CA has no keyChange."""
        ...

    async def url_of(self, account_key: AccountKey) -> str | None:
        """Return the URL of the account with this key at the CA; None when there is none."""
        ...

    async def change_key(self, following: AccountKey) -> None:
        """Send keyChange once. Returning proves nothing."""
        ...


async def roll_over(account: Account, accounts: AccountFolder, clients: Sequence[Holder]) -> str:
    """Return the new thumbprint. Raises PublishError while a responder lacks it, OrderError when the CA refuses."""
    directory_url = account.directory_url
    account_url = await account.changeable_url()
    following = accounts.make_next_account_key(directory_url)
    thumbprint = account_thumbprint(following)
    if not await _has_taken(account, account_url, following, accounts):
        await _check_responders(Pin(account.ca_name, directory_url, thumbprint), clients)
        await _change(account, account_url, following, accounts)
    accounts.take_next_account_key(directory_url)
    return thumbprint


async def abandon(account: Account, accounts: AccountFolder) -> bool:
    """Delete the next key, if the CA has no account with it; return False when there is none. Raises OrderError."""
    following = accounts.next_account_key(account.directory_url)
    if following is None:
        return False
    found = await account.url_of(following)
    if found is not None:
        raise OrderError(
            f"cannot abandon the rollover at the CA {account.ca_name}",
            f"the CA has the account {found} with the new key",
            "Run 'wellkeeper account rollover' to finish it.",
            retry=Retry.NEVER,
        )
    accounts.forget_next_account_key(account.directory_url)
    return True


async def _change(account: Account, account_url: str, following: AccountKey, accounts: AccountFolder) -> None:
    try:
        await account.change_key(following)
    except OrderError as error:
        # The CA may have changed the key although its reply was lost. This also explains a conflict in our words.
        if await _has_taken(account, account_url, following, accounts):
            return
        remedy = error.remedy
        if error.problem and problems.is_not_offered(error.problem):
            accounts.forget_next_account_key(account.directory_url)
            remedy = "This CA cannot change account keys, although its directory offers it. The rollover was abandoned."
        raise OrderError(
            f"cannot change the account key at the CA {account.ca_name}, the old key stays in use",
            ": ".join(filter(None, (error.what, error.why))),
            remedy,
            problem=error.problem,
            retry=error.retry,
        ) from error
    if not await _has_taken(account, account_url, following, accounts):
        raise OrderError(
            f"cannot change the account key at the CA {account.ca_name}, the old key stays in use",
            "the CA accepted the new key, but has no account with it",
            "Run 'wellkeeper account rollover' again.",
        )


async def _has_taken(account: Account, account_url: str, following: AccountKey, accounts: AccountFolder) -> bool:
    """Return True if the account has the new key. (Pebble answers 200 to a keyChange that it refused as a conflict.)"""
    found = await account.url_of(following)
    if found is not None and found != account_url:
        raise OrderError(
            f"cannot change the account key at the CA {account.ca_name}, the old key stays in use",
            f"the new key already has another account there ({found})",
            f"Run 'rm {accounts.next_key_path(account.directory_url)}', then 'wellkeeper account rollover' again.",
            retry=Retry.NEVER,
        )
    return found is not None


async def _check_responders(pin: Pin, clients: Sequence[Holder]) -> None:
    lacking = [unpinned for client in clients for unpinned in await find_unpinned([pin], client)]
    if lacking:
        nodes = ", ".join(repr(unpinned.node) for unpinned in lacking)
        raise PublishError(
            f"cannot change the account key at the CA {pin.ca} yet",
            f"the responders of these nodes do not trust the new key: {nodes}",
            "Run 'wellkeeper trust --write', then 'wellkeeper account rollover' again.",
        )
