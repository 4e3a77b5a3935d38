"""Manage our account at one CA: show, update, change its key, deactivate (RFC 8555 section 7.3)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from acme import messages

from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.advice import problems
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.ca.abilities import read_abilities
from wellkeeper_issuer.outside.ca.connection import Connection
from wellkeeper_issuer.outside.ca.json_replies import ReplyError
from wellkeeper_issuer.outside.ca.messages import Deactivation, account_jwk, algorithm_of, key_change
from wellkeeper_issuer.outside.ca.registration import look_up
from wellkeeper_issuer.outside.ca.signing import Sender, Signer
from wellkeeper_issuer.outside.keys.accounts import AccountRecord
from wellkeeper_issuer.outside.keys.key_files import AccountKey
from wellkeeper_node.errors import Retry

_FORGOTTEN: Final = "accountDoesNotExist"


@dataclass(frozen=True, slots=True)
class AccountState:
    """Our account as the CA reports it; Let's Encrypt stores no contacts."""

    url: str
    status: str
    contact: tuple[str, ...]


class AccountAtCa:
    """Our account at one CA. Every call raises OrderError and SettingsError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._name = connection.options.name
        self._accounts = connection.accounts

    @property
    def directory_url(self) -> str:
        return self._connection.options.directory_url

    @property
    def ca_name(self) -> str:
        return self._name

    def record(self) -> AccountRecord:
        """Return the account on record; raises OrderError when there is none."""
        record = self._accounts.read(self.directory_url)
        if record is None:
            raise OrderError(
                f"no account is registered at the CA {self._name}",
                remedy="Run 'wellkeeper account register'.",
                retry=Retry.NEVER,
            )
        return record

    async def register(self) -> str:
        """Return the account's URL, and register the account if there is none. Idempotent."""
        _, account = await self._connection.account()
        return account.url

    async def state(self) -> AccountState | None:
        """Return our account as the CA reports it; None if the CA has none for our key.

        Neither registers nor records anything; sends nothing to a CA where no account is on record.
        """
        url = self.record().account_url
        try:
            return await self._state_of(url)
        except OrderError as error:
            problem = error.problem
            if problem is None or not (problem.name == _FORGOTTEN or problems.may_be_about_our_account(problem)):
                raise
            found = await self.url_of(self._accounts.account_key(self.directory_url))
            if found == url:
                raise
        return None if found is None else await self._state_of(found)

    async def _state_of(self, url: str) -> AccountState:
        async def work(sender: Sender, _: messages.Directory) -> AccountState:
            return await _send(sender, url, None)

        return await self._connection.call_as(url, OrderError, "the request to read the account", work)

    async def update(self, contact: Sequence[str]) -> AccountState:
        """Replace the contacts, and agree to the CA's current terms if the settings agree to terms."""
        directory = await self._connection.directory()
        terms = read_abilities(directory).terms_of_service
        agreed = True if terms and self._accounts.terms_of_service_agreed else None
        message = messages.UpdateRegistration(contact=tuple(contact), terms_of_service_agreed=agreed)
        state = await self._post(message, "the account update")
        if agreed and terms:
            await asyncio.to_thread(self._accounts.record, replace(self.record(), agreed_terms=terms))
        return state

    async def deactivate(self) -> AccountState:
        """Deactivate the account, which cannot be undone, and record it (RFC 8555 section 7.3.6)."""
        record = self.record()
        state = await self._post(Deactivation(), "the account deactivation")
        if state.status != "deactivated":
            raise OrderError(
                f"the CA {self._name} did not deactivate the account {state.url}",
                f"it replied that the account is {state.status}",
                "The account stays in use here. Ask the CA how to deactivate it.",
                retry=Retry.NEVER,
            )
        await asyncio.to_thread(self._accounts.record, replace(record, is_deactivated=True))
        return state

    async def changeable_url(self) -> str:
        """Return the account's URL if its key can be changed.

        Raises OrderError when there is no account, it was deactivated, or the CA has no keyChange (ZeroSSL, SSL.com).
        """
        record = self.record()
        if record.is_deactivated:
            raise OrderError(f"our account at the CA {self._name} was permanently deactivated", retry=Retry.NEVER)
        if not read_abilities(await self._connection.directory()).has_key_change:
            raise OrderError(f"the CA {self._name} does not support changing account keys", retry=Retry.NEVER)
        return record.account_url

    async def change_key(self, following: AccountKey) -> None:
        """Send keyChange once. Returning proves nothing: verify with `url_of` the new key (RFC 8555 section 7.3.5)."""
        url, present = self.record().account_url, self._connection.key

        async def work(sender: Sender, directory: messages.Directory) -> None:
            signed = key_change(url, present, account_jwk(following), directory["keyChange"])
            await sender.send(directory["keyChange"], signed)

        await self._connection.call(OrderError, "the change of the account key", work)

    async def url_of(self, account_key: AccountKey) -> str | None:
        """Return the URL of the account with this key at the CA; None when there is none."""
        directory, jwk = await self._connection.directory(), account_jwk(account_key)
        sender = self._connection.sender_for(Signer(jwk, algorithm_of(jwk)))
        return await look_up(sender, directory, self._name, self._connection.clock)

    async def _post(self, message: Any, request: str) -> AccountState:  # noqa: ANN401 - any message of josepy's
        async def work(sender: Sender, _: messages.Directory) -> AccountState:
            # Another one in a second try, if the CA has another for our key.
            return await _send(sender, self.record().account_url, message)

        return await self._connection.call(OrderError, request, work)


async def _send(sender: Sender, url: str, message: Any) -> AccountState:  # noqa: ANN401 - any message of josepy's
    body = (await sender.send(url, message)).json()
    status, contact = body.get("status"), body.get("contact") or []
    if not isinstance(status, str) or not isinstance(contact, list):
        raise ReplyError("account member 'status' must be a string, 'contact' a list")
    return AccountState(url, one_line(status), tuple(map(one_line, contact)))
