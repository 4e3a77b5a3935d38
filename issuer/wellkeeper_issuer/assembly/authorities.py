"""The CAs of the settings, each made when it is first needed: the acme library is not loaded before."""

import asyncio
import importlib
import ssl
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.records import Limit
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.cas import directory_urls, limits
from wellkeeper_issuer.status.activity import Activity
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.ports import Clock

if TYPE_CHECKING:
    from wellkeeper_issuer.outside.ca.authority import AcmeAuthority
    from wellkeeper_issuer.outside.ca.connection import Connection
    from wellkeeper_issuer.outside.ca.options import CaOptions
    from wellkeeper_issuer.outside.ca.server import CaServer
    from wellkeeper_issuer.outside.keys.accounts import AccountFolder


class AllAuthorities:
    """Implements `ports.Authorities`. Use as an async context manager: it closes the connections.

    Counts requests in `activity`.

    Raises SettingsError when a bundle of CA certificates cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        accounts: "AccountFolder",
        clock: Clock,
        *,
        version: str,
        activity: Activity | None = None,
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._clock = clock
        self._version = version
        self._activity = activity or Activity()
        self._servers: dict[str, CaServer] = {}
        self._opened: dict[str, AcmeAuthority] = {}
        _check_bundle("ca_bundle", settings.ca_bundle)
        for ca in settings.cas:
            _check_bundle(f"bundle of the CA {ca.name}", ca.bundle)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers.values():
            await server.close()

    async def load(self, directory_url: str) -> None:
        """Implement `ports.Authorities.load`: the acme library takes 60 ms, as long as many a CA takes to reply."""
        if directory_url not in self._opened:
            self.server(directory_url).begin()
            await asyncio.to_thread(importlib.import_module, "wellkeeper_issuer.outside.ca.authority")

    def open(self, directory_url: str) -> "AcmeAuthority":
        """As `ports.Authorities.open`; raises SettingsError when the CA has no account key."""
        from wellkeeper_issuer.outside.ca.authority import AcmeAuthority

        if directory_url not in self._opened:
            self._opened[directory_url] = AcmeAuthority(self.connect(directory_url))
        return self._opened[directory_url]

    def connect(self, directory_url: str) -> "Connection":
        """Return a connection that needs no account key."""
        from wellkeeper_issuer.outside.ca.connection import Connection

        return Connection(self.options(directory_url), self.server(directory_url), self._accounts, self._clock)

    def server(self, directory_url: str) -> "CaServer":
        """Return the CA's server, always the same object for one directory URL."""
        from wellkeeper_issuer.outside.ca.server import CaServer
        from wellkeeper_issuer.outside.ca.session import CaSession

        if directory_url not in self._servers:
            options = self.options(directory_url)
            session = CaSession(
                f"wellkeeper/{self._version}",
                bundle=options.bundle,
                allow_http=options.allow_http,
                on_reply=partial(self._activity.count_request, options.name),
            )
            self._servers[directory_url] = CaServer(directory_url, session, self._clock)
        return self._servers[directory_url]

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
            allow_http=ca.allow_http,
            profile=ca.profile,
            preferred_chain=ca.preferred_chain,
            external_account=external,
        )


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
