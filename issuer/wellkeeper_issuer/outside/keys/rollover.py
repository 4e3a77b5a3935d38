"""The account key of one CA is replaced without a moment in which it is lost or responders do not know it.

The next key is durable before anybody hears of it, and becomes the present one only when the CA was seen to take it:
killed at any point, the same call goes on (docs/design/0007-cas.md).
"""

from collections.abc import Sequence
from typing import Protocol

from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_issuer.outside.keys.key_files import AccountKey, account_thumbprint
from wellkeeper_issuer.outside.keys.pins import Pin, find_unpinned
from wellkeeper_node.errors import PublishError, Retry
from wellkeeper_node.responders.client import ResponderClient


class Account(Protocol):
    """Our account at the CA, as `ca_account.AccountAtCa` is."""

    @property
    def directory_url(self) -> str: ...

    @property
    def ca_name(self) -> str: ...

    async def changeable_url(self) -> str:
        """Raises OrderError when there is none, none any more, or the CA changes no keys."""
        ...

    async def url_of(self, account_key: AccountKey) -> str | None:
        """The account that this key has at the CA; None when it has none."""
        ...

    async def change_key(self, following: AccountKey) -> None:
        """That it returns proves nothing."""
        ...


async def roll_over(account: Account, accounts: AccountFolder, clients: Sequence[ResponderClient]) -> str:
    """The new thumbprint. Raises PublishError while a responder lacks it, and OrderError with what stands then."""
    directory_url = account.directory_url
    account_url = await account.changeable_url()
    following = accounts.make_next_account_key(directory_url)
    thumbprint = account_thumbprint(following)
    if not await _has_taken(account, account_url, following, accounts):
        await _check_responders(Pin(account.ca_name, directory_url, thumbprint), accounts, clients)
        await _change(account, account_url, following, accounts)
    accounts.take_next_account_key(directory_url)
    return thumbprint


async def _change(account: Account, account_url: str, following: AccountKey, accounts: AccountFolder) -> None:
    try:
        await account.change_key(following)
    except OrderError as error:
        # The CA may have done it, and its reply be lost; and a conflict is told in our words.
        if await _has_taken(account, account_url, following, accounts):
            return
        raise OrderError(f"{error}; the old key stays in use", problem=error.problem, retry=error.retry) from error
    if not await _has_taken(account, account_url, following, accounts):
        raise OrderError(
            f"the CA {account.ca_name} said yes to the new key and does not know it; the old key stays in use: run"
            " 'wellkeeper account rollover' again"
        )


async def _has_taken(account: Account, account_url: str, following: AccountKey, accounts: AccountFolder) -> bool:
    """Whether the new key is the account's. Pebble answers 200 to a keyChange that it did not do for a conflict."""
    found = await account.url_of(following)
    if found is not None and found != account_url:
        raise OrderError(
            f"the new key has another account at the CA {account.ca_name} already ({found}); nothing was changed and"
            f" the old key stays in use: remove {accounts.next_key_path(account.directory_url)}, then run"
            " 'wellkeeper account rollover' again for a key that nobody knows",
            retry=Retry.NEVER,
        )
    return found is not None


async def _check_responders(pin: Pin, accounts: AccountFolder, clients: Sequence[ResponderClient]) -> None:
    lacking = [one for client in clients for one in await find_unpinned([pin], client)]
    if lacking:
        nodes = ", ".join(repr(one.node) for one in lacking)
        thumbprints = " ".join(dict.fromkeys(account_thumbprint(key) for _, key in accounts.account_keys()))
        raise PublishError(
            f"the CA was not asked, because these nodes' responders do not know the new account key yet: {nodes}. Put"
            f" this line into their responder.env, restart them, then run this command again:\n\n"
            f"  WELLKEEPER_RESPONDER_ACCOUNT_THUMBPRINT={thumbprints}\n"
        )
