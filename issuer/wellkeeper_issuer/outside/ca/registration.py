"""Find our account at a CA on record, or register it (RFC 8555 section 7.3)."""

import asyncio
from dataclasses import dataclass

from acme import messages

from wellkeeper_issuer.advice import problems
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.ca.abilities import read_abilities
from wellkeeper_issuer.outside.ca.messages import account_jwk, binding
from wellkeeper_issuer.outside.ca.options import CaOptions
from wellkeeper_issuer.outside.ca.problems import ProblemError, translated
from wellkeeper_issuer.outside.ca.signing import Sender
from wellkeeper_issuer.outside.keys.accounts import AccountFolder, AccountRecord
from wellkeeper_node.errors import Retry
from wellkeeper_node.ports import Clock
from wellkeeper_node.wording import with_reload


@dataclass(frozen=True, slots=True, eq=False)
class Account:
    """An account that was found or registered; one that was registered again is another object."""

    url: str


async def look_up(sender: Sender, directory: messages.Directory, ca: str, clock: Clock) -> str | None:
    """Return the URL of the account with the sender's key at the CA; None when there is none. Raises OrderError."""
    message = messages.NewRegistration(only_return_existing=True)
    with translated(OrderError, ca, "the account look-up", clock):
        try:
            return (await sender.send(directory["newAccount"], message)).location()
        except ProblemError as error:
            if error.problem.name == "accountDoesNotExist":
                return None
            raise


@dataclass(frozen=True, slots=True)
class Registration:
    """Registers accounts at one CA."""

    options: CaOptions
    accounts: AccountFolder
    clock: Clock

    async def find(self, sender: Sender, directory: messages.Directory, *, is_forgotten: bool = False) -> Account:
        """Return the account on record; register and record one if there is none or the CA forgot it.

        Raises SettingsError, and OrderError with what the administrator must do first.
        """
        record = self.accounts.read(self.options.directory_url)
        if record is not None and record.is_deactivated:
            raise self.deactivated()
        if record is None or is_forgotten:
            url, terms = await self._register(sender, directory), read_abilities(directory).terms_of_service
            record = AccountRecord(self.options.directory_url, url, agreed_terms=terms or "")
            await asyncio.to_thread(self.accounts.record, record)
        return Account(record.account_url)

    def check(self, directory: messages.Directory) -> None:
        """Raise OrderError or SettingsError when the account cannot be registered; send no requests."""
        record = self.accounts.read(self.options.directory_url)
        if record is not None and record.is_deactivated:
            raise self.deactivated()
        self._message(directory)

    async def _register(self, sender: Sender, directory: messages.Directory) -> str:
        """Return the account's URL: newAccount returns the existing account of a known key (RFC 8555 section 7.3.1)."""
        message = self._message(directory)
        try:
            with translated(OrderError, self.options.name, "the account registration", self.clock):
                return (await sender.send(directory["newAccount"], message)).location()
        except OrderError as error:
            if not self.accounts.contact and error.problem and problems.is_about_contact(error.problem):
                error.remedy = with_reload('Set contact = ["mailto:you@example.org"] in the settings.')
                error.retry = Retry.NEVER
            raise

    async def find_again(self, sender: Sender, directory: messages.Directory) -> Account | None:
        """Return the account that the CA has for our key, if it is not the one on record, and record it.

        Registers an account when the CA has none. Returns None when the record is right, or the CA does not say.
        """
        record = self.accounts.read(self.options.directory_url)
        try:
            url = await look_up(sender, directory, self.options.name, self.clock)
        except OrderError as error:
            # A CA for customers only may want to know them for the look-up as well; it returns the account it has.
            if error.problem is None or self.options.external_account is None:
                return None
            url = None
        if url is None:
            return await self.find(sender, directory, is_forgotten=True)
        if record is not None and record.account_url == url:
            return None
        await asyncio.to_thread(self.accounts.record, AccountRecord(self.options.directory_url, url))
        return Account(url)

    def _message(self, directory: messages.Directory) -> messages.NewRegistration:
        abilities, external = read_abilities(directory), self.options.external_account
        terms = abilities.terms_of_service
        self._check_terms(terms)
        if abilities.requires_external_account and external is None:
            raise OrderError(
                f"cannot register an account at the CA {self.options.name}",
                "it requires external account binding (EAB)",
                with_reload(
                    "Get a key id and an HMAC key from the CA, and set eab_key_id and eab_hmac_key_file under [[cas]]."
                ),
                retry=Retry.NEVER,
            )
        members = {}
        if external is not None:
            account_key = account_jwk(self.accounts.account_key(self.options.directory_url))
            hmac_key = external.read_hmac_key()
            members["external_account_binding"] = binding(account_key, directory["newAccount"], external, hmac_key)
        agreed = True if terms else None
        return messages.NewRegistration(contact=self.accounts.contact, terms_of_service_agreed=agreed, **members)

    def _check_terms(self, terms: str | None) -> None:
        if terms and not self.accounts.terms_of_service_agreed:
            raise OrderError(
                f"cannot register an account at the CA {self.options.name}",
                f"it requires agreement to its terms of service at {terms}",
                with_reload("Read them, then set terms_of_service_agreed = true."),
                retry=Retry.NEVER,
            )

    def deactivated(self) -> OrderError:
        """Return the error about an account that is permanently deactivated, with the way to another one."""
        url = self.options.directory_url
        paths = self.accounts.key_path(url), self.accounts.next_key_path(url), self.accounts.record_path(url)
        return OrderError(
            f"our account at the CA {self.options.name} was permanently deactivated",
            remedy=f"For a new account, run 'rm -f {' '.join(map(str, paths))}', 'wellkeeper init', then"
            " 'wellkeeper trust --write'.",
            retry=Retry.NEVER,
        )
