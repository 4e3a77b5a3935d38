"""newAccount: our account at a CA, found on record or registered (RFC 8555 section 7.3). Blocking."""

from dataclasses import dataclass

import requests
from acme import messages

from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.ca.abilities import read_abilities
from wellkeeper_issuer.outside.ca.messages import account_jwk, binding
from wellkeeper_issuer.outside.ca.network import Network
from wellkeeper_issuer.outside.ca.options import CaOptions
from wellkeeper_issuer.outside.ca.problems import translated
from wellkeeper_issuer.outside.keys.accounts import AccountFolder, AccountRecord
from wellkeeper_node.errors import Retry
from wellkeeper_node.ports import Clock


def location(reply: requests.Response) -> str:
    """Raises ValueError."""
    url = reply.headers.get("Location")
    if not url:
        raise ValueError("the reply has no Location header")
    return url


@dataclass(frozen=True, slots=True)
class Registration:
    """How accounts are made at one CA."""

    options: CaOptions
    accounts: AccountFolder
    clock: Clock

    def find(
        self, network: Network, directory: messages.Directory, *, is_forgotten: bool = False
    ) -> messages.RegistrationResource:
        """On record, unless the CA forgot it; registered and recorded otherwise.

        Raises OrderError, with what the administrator has to settle first, and SettingsError.
        """
        record = self.accounts.read(self.options.directory_url)
        if record is not None and record.is_deactivated:
            raise OrderError(self._gone(), retry=Retry.NEVER)
        if record is None or is_forgotten:
            record = AccountRecord(self.options.directory_url, self._register(network, directory))
            self.accounts.record(record)
        return messages.RegistrationResource(uri=record.account_url, body=messages.Registration())

    def check(self, directory: messages.Directory) -> None:
        """Raise OrderError or SettingsError when the account cannot be registered; ask nobody."""
        record = self.accounts.read(self.options.directory_url)
        if record is not None and record.is_deactivated:
            raise OrderError(self._gone(), retry=Retry.NEVER)
        self._message(directory)

    def _register(self, network: Network, directory: messages.Directory) -> str:
        """newAccount answers with the existing account when the key is known (RFC 8555 section 7.3.1)."""
        message = self._message(directory)
        with translated(OrderError, f"newAccount at {self.options.name}", self.clock):
            network.account = None
            return location(network.send(directory["newAccount"], message, directory["newNonce"]))

    def _message(self, directory: messages.Directory) -> messages.NewRegistration:
        abilities, external = read_abilities(directory), self.options.external_account
        terms = abilities.terms_of_service
        self._check_terms(terms)
        if abilities.requires_external_account and external is None:
            raise OrderError(
                f"the CA {self.options.name} takes customers of its own only; get the key identifier and the HMAC key"
                " for ACME from it, then set eab_key_id and eab_hmac_key_file under [[cas]] with directory ="
                f" '{self.options.directory_url}'",
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
                f"the CA {self.options.name} asks to agree to its terms of service at {terms}; read them, then set"
                " terms_of_service_agreed = true",
                retry=Retry.NEVER,
            )

    def _gone(self) -> str:
        url = self.options.directory_url
        return (
            f"our account at the CA {self.options.name} was deactivated, and no account comes back from that; to use"
            f" this CA again, remove {self.accounts.key_path(url)}, {self.accounts.record_path(url)} and, if it is"
            f" there, {self.accounts.next_key_path(url)}, run"
            " 'wellkeeper init' for a new account key, and tell the responders its thumbprint"
            " ('wellkeeper trust')"
        )
