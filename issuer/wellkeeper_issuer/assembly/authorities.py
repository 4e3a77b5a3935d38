"""The CAs of the settings, each made when it is first needed: the acme library is not loaded before."""

import ssl
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.records import Limit
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.cas import directory_urls, limits
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.ports import Clock

if TYPE_CHECKING:
    from wellkeeper_issuer.outside.ca.authority import AcmeAuthority
    from wellkeeper_issuer.outside.ca.connection import Connection
    from wellkeeper_issuer.outside.ca.options import CaOptions
    from wellkeeper_issuer.outside.keys.accounts import AccountFolder

# More threads only contend for Python's one lock (200 certificates on two cores: 26 per second with 4 threads, 22 with
# 8), and Pebble hung forever with 32.
_MOST_THREADS: Final = 4


class AllAuthorities:
    """Implements `ports.Authorities`. Use as a context manager: it ends the threads.

    Raises SettingsError when a bundle of CA certificates cannot be used.
    """

    def __init__(self, settings: Settings, accounts: "AccountFolder", clock: Clock, *, version: str) -> None:
        self._settings = settings
        self._accounts = accounts
        self._clock = clock
        self._version = version
        self._opened: dict[str, AcmeAuthority] = {}
        _check_bundle("ca_bundle", settings.ca_bundle)
        for ca in settings.cas:
            _check_bundle(f"bundle of the CA {ca.name}", ca.bundle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self, directory_url: str) -> "AcmeAuthority":
        """As `ports.Authorities.open`; raises SettingsError when the CA has no account key."""
        from wellkeeper_issuer.outside.ca.authority import AcmeAuthority

        found = self._opened.get(directory_url)
        if found is None:
            options = self.options(directory_url)
            found = AcmeAuthority(
                options,
                self._accounts,
                self._clock,
                version=self._version,
                thread_count=min(self._settings.renewals_at_once, _MOST_THREADS),
            )
            self._opened[directory_url] = found
        return found

    def connect(self, directory_url: str) -> "Connection":
        """Return a connection that needs no account; the caller closes it."""
        from wellkeeper_issuer.outside.ca.connection import Connection

        return Connection(
            self.options(directory_url), self._accounts, self._clock, version=self._version, thread_count=1
        )

    @property
    def directory_urls(self) -> Sequence[str]:
        return directory_urls(self._settings)

    def limits(self, directory_url: str) -> Sequence[Limit]:
        return limits(self._settings, directory_url)

    def options(self, directory_url: str) -> "CaOptions":
        """Return the settings of the CA."""
        from wellkeeper_issuer.outside.ca.options import CaOptions, ExternalAccount

        ca = self._settings.find_ca(directory_url)
        external = None
        if ca.eab_key_id and ca.eab_hmac_key_file:
            external = ExternalAccount(ca.eab_key_id, ca.eab_hmac_key_file, ca.eab_algorithm)
        bundle = ca.bundle or self._settings.ca_bundle
        return CaOptions(
            name=ca.name,
            directory_url=directory_url,
            bundle=str(bundle) if bundle else None,
            profile=ca.profile,
            preferred_chain=ca.preferred_chain,
            external_account=external,
        )

    def close(self) -> None:
        """Close all CAs without waiting for requests. Idempotent."""
        for one in self._opened.values():
            one.close()
        self._opened.clear()


def open_authorities(settings: Settings) -> AllAuthorities:
    """Return the CAs of the settings, with the accounts in `state_dir` and the system's clock."""
    return AllAuthorities(settings, build.accounts(settings), SystemClock(), version=build.version())


def _check_bundle(key: str, path: Path | None) -> None:
    """Raise SettingsError when the file cannot be used: the HTTP library would report it late and obscurely."""
    if path is None:
        return
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise SettingsError(
            f"cannot use {key} = {str(path)!r}",
            error.strerror or str(error),
            "It must be a readable PEM file of CA certificates.",
        ) from error
