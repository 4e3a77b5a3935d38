"""Our account at one CA, as a person sees to it: shown, changed, given another key, ended (RFC 8555 section 7.3)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from acme import messages
from josepy.json_util import JSONObjectWithFields, field

from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.ca.abilities import read_abilities
from wellkeeper_issuer.outside.ca.connection import Connection
from wellkeeper_issuer.outside.ca.messages import account_jwk, key_change
from wellkeeper_issuer.outside.ca.network import Network
from wellkeeper_issuer.outside.ca.problems import ProblemError, translated
from wellkeeper_issuer.outside.ca.registration import location
from wellkeeper_issuer.outside.keys.accounts import AccountRecord
from wellkeeper_issuer.outside.keys.key_files import AccountKey
from wellkeeper_node.errors import Retry
from wellkeeper_node.foreign_text import cleaned


@dataclass(frozen=True, slots=True)
class AccountState:
    """What the CA says about our account; Let's Encrypt keeps no contacts."""

    url: str
    status: str
    contact: tuple[str, ...]


class _Deactivation(JSONObjectWithFields):
    status: str = field("status")


class AccountAtCa:
    """Every call raises OrderError and SettingsError."""

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
        """What is written down; raises OrderError when there is no account."""
        record = self._accounts.read(self.directory_url)
        if record is None:
            raise OrderError(
                f"there is no account at the CA {self._name}; 'wellkeeper account register' makes one",
                retry=Retry.NEVER,
            )
        return record

    async def register(self) -> str:
        """The account's URL; idempotent."""
        _, account = await self._connection.account()
        return str(account.uri)

    async def state(self) -> AccountState:
        """As the CA has it; asks nothing of a CA without account."""
        return await self._post(None, "reading the account")

    async def update(self, contact: Sequence[str]) -> AccountState:
        """The contacts become these, and the CA's present terms are agreed to when the settings do."""
        directory = await self._connection.directory()
        terms = read_abilities(directory).terms_of_service
        agreed = True if terms and self._accounts.terms_of_service_agreed else None
        message = messages.UpdateRegistration(contact=tuple(contact), terms_of_service_agreed=agreed)
        return await self._post(message, "changing the account")

    async def deactivate(self) -> AccountState:
        """For good, and written down (RFC 8555 section 7.3.6)."""
        record = self.record()
        state = await self._post(_Deactivation(status="deactivated"), "deactivating the account")
        self._accounts.record(replace(record, is_deactivated=True))
        return state

    async def changeable_url(self) -> str:
        """Raises OrderError when there is no account, none any more, or the CA changes no keys (ZeroSSL, SSL.com)."""
        record = self.record()
        if record.is_deactivated:
            raise OrderError(f"our account at the CA {self._name} was deactivated, for good", retry=Retry.NEVER)
        if not read_abilities(await self._connection.directory()).has_key_change:
            raise OrderError(f"the CA {self._name} offers no change of an account's key", retry=Retry.NEVER)
        return record.account_url

    async def change_key(self, following: AccountKey) -> None:
        """Sent once. That it returns proves nothing: ask `url_of` the new key then (section 7.3.5)."""
        url, present = self.record().account_url, self._connection.key

        def work(network: Network, directory: messages.Directory) -> None:
            signed = key_change(url, present, account_jwk(following), directory["keyChange"])
            network.send(directory["keyChange"], signed, directory["newNonce"])

        await self._connection.call(OrderError, f"keyChange at {self._name}", work)

    async def url_of(self, account_key: AccountKey) -> str | None:
        """The account that this key has at the CA; None when it has none."""
        directory = await self._connection.directory()
        message = messages.NewRegistration(only_return_existing=True)

        def work() -> str | None:
            with translated(OrderError, f"asking {self._name} which account the key has", self._connection.clock):
                network = self._connection.network_for(account_jwk(account_key))
                try:
                    return location(network.send(directory["newAccount"], message, directory["newNonce"]))
                except ProblemError as error:
                    if error.problem.name == "accountDoesNotExist":
                        return None
                    raise

        return await self._connection.run(work)

    async def _post(self, message: Any, doing: str) -> AccountState:  # noqa: ANN401 - any message of josepy's
        url = self.record().account_url

        def work(network: Network, directory: messages.Directory) -> AccountState:
            body = network.send(url, message, directory["newNonce"]).json()
            return AccountState(url, cleaned(body["status"]), tuple(map(cleaned, body.get("contact") or ())))

        return await self._connection.call(OrderError, f"{doing} at {self._name}", work)
