"""The input of doctor's checks: the settings, the chosen certificates, nginx's configuration, each read once."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.doctor.names import open_dns, resolve_names
from wellkeeper_issuer.assembly.local_node import local_node
from wellkeeper_issuer.doctor.checks import Network, NotCheckedError
from wellkeeper_issuer.doctor.names import Resolved
from wellkeeper_issuer.doctor.shared import Shared
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.ports.dns import Dns
from wellkeeper_issuer.settings import Settings, check
from wellkeeper_issuer.settings.choice import choose, ordered
from wellkeeper_issuer.settings.files import Sources, read_sources
from wellkeeper_issuer.settings.tables import NodeSettings
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.model import Identifier
from wellkeeper_node.nginx.configuration import Configuration

_NO_SETTINGS: Final = "the settings cannot be used"
_NO_NODE: Final = "no node in the settings has an address of this host"
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class SettingsFound:
    """The settings at `path`: their files, and either the parsed values or the error that `config check` reports."""

    path: Path
    sources: Sources | None = None
    settings: Settings | None = None
    error: SettingsError | None = None


@dataclass(frozen=True, slots=True)
class CheckContext:
    """Everything that checks are given. `lineages` are the chosen certificates, all by default."""

    found: SettingsFound
    lineages: Sequence[Lineage]
    network: Network
    _once: dict[object, Shared[Any]] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, names: Sequence[str], network: Network) -> "AsyncIterator[CheckContext]":
        """Yield the context. Raises SettingsError for an unknown name."""
        found = await asyncio.to_thread(_read_settings, path)
        settings = found.settings
        lineages = choose(settings, names) if settings and (names or settings.certificates) else ()
        context = cls(found, lineages, network)
        try:
            yield context
        finally:
            for one in context._once.values():
                await one.close()

    @property
    def ordered(self) -> Sequence[Lineage]:
        """The chosen certificates that no other client obtains."""
        return ordered(self.lineages)

    @property
    def settings(self) -> Settings:
        """Return the settings. Raises NotCheckedError when they cannot be used."""
        if self.found.settings is None:
            raise NotCheckedError(_NO_SETTINGS)
        return self.found.settings

    @property
    def local_node(self) -> NodeSettings:
        """Return the node of the settings that is this host. Raises NotCheckedError when none is."""
        node = local_node(self.settings)
        if node is None:
            raise NotCheckedError(_NO_NODE)
        return node

    def find_local_node(self) -> NodeSettings | None:
        return local_node(self.found.settings) if self.found.settings else None

    @property
    def is_issuers_user(self) -> bool:
        """Return whether this process has the rights of the issuer: it is root, or owns state_dir."""
        settings = self.found.settings
        try:
            owners = {0, settings.state_dir.stat().st_uid} if settings else {0}
        except OSError:
            owners = {0}
        return os.geteuid() in owners

    async def configuration(self) -> Configuration:
        """Return nginx's configuration on disk (`nginx -T`). Raises NotCheckedError when it cannot be read."""
        return await self.once(_read_configuration)

    async def dns(self) -> Dns:
        """Return the name servers to ask."""
        return await self.once(_open_dns)

    async def resolved(self) -> Mapping[Identifier, Resolved]:
        """Return the addresses of all names in DNS."""
        return await self.once(_resolve)

    async def once(self, work: "Callable[[CheckContext], Coroutine[Any, Any, _Value]]") -> _Value:
        """Return the result of this function, which is called once for all checks. Raises what it raises, each time."""
        shared: Shared[_Value] = self._once.setdefault(work, Shared(lambda: work(self)))
        return await shared.get()


def _read_settings(path: Path) -> SettingsFound:
    sources = None
    try:
        sources = read_sources(path)
        return SettingsFound(path, sources, check(sources))
    except SettingsError as error:
        return SettingsFound(path, sources, error=error)


async def _read_configuration(context: CheckContext) -> Configuration:
    try:
        return await build.make_nginx(context.settings).configuration()
    except ReloadError as error:
        is_of_root = os.geteuid() == 0 or context.settings.nginx.test == "reload"
        hint = "" if is_of_root else "; run it with sudo"
        raise NotCheckedError(f"{error.what}{hint}") from error


async def _open_dns(context: CheckContext) -> Dns:
    return open_dns(context.network)


async def _resolve(context: CheckContext) -> Mapping[Identifier, Resolved]:
    return await resolve_names(context.settings, context.ordered, await context.dns())
