"""Asks a CA what a renewal asks first, for rehearsals: directory, nonce, account. Changes nothing there."""

from collections.abc import Awaitable, Callable, Sequence

from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.ca.account import AccountAtCa
from wellkeeper_issuer.outside.ca.connection import Connection

Request = tuple[str, Callable[[], Awaitable[str]]]


class FirstRequests:
    """Every request returns what it found, and raises OrderError and SettingsError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._name = connection.options.name

    @property
    def in_order(self) -> Sequence[Request]:
        """Each request with its name; those after one that failed would fail, too."""
        return (("directory", self.directory), ("nonce", self.nonce), ("account", self.account))

    async def directory(self) -> str:
        await self._connection.directory()
        return f"{self._name}: {self._connection.options.directory_url}"

    async def nonce(self) -> str:
        await self._connection.nonce()
        return f"{self._name}: received"

    async def account(self) -> str:
        """Look the account up with onlyReturnExisting (RFC 8555 section 7.3.1); never register one."""
        connection, url = self._connection, self._connection.options.directory_url
        record = connection.accounts.read(url)
        if record is None or record.is_deactivated:
            await connection.check_registration()
            return f"{self._name}: no account yet, the first renewal registers it"
        found = await AccountAtCa(connection).url_of(connection.accounts.account_key(url))
        if found is None:
            raise OrderError(
                f"the CA {self._name} does not know the account {record.account_url}",
                "",
                f"Run 'wellkeeper account register --ca {self._name}' if the CA has lost it.",
            )
        return f"{self._name}: {found}"
