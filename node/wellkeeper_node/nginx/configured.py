"""An nginx whose configuration can be read, in whatever way."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence

from wellkeeper_node.errors import ReloadError
from wellkeeper_node.model import Server
from wellkeeper_node.nginx import servers
from wellkeeper_node.nginx.configuration import Configuration, Sources
from wellkeeper_node.nginx.named import named_folders

_log = logging.getLogger(__name__)


class ConfiguredNginx(ABC):
    """Implements the part of `factory.HostNginx` that is about the configuration on disk."""

    @abstractmethod
    async def sources(self) -> Sources:
        """Return the files of the configuration on disk. Raises ReloadError."""

    async def configuration(self) -> Configuration:
        found = await self._parsed()
        for words in found.errors:
            _log.warning("cannot parse all of nginx's configuration: %s", words)
        return found

    async def servers(self) -> Sequence[Server]:
        return await asyncio.to_thread(servers.read_servers, await self.configuration())

    async def files(self) -> dict[str, str]:
        return dict((await self.sources()).texts)

    async def mentions(self, path: str) -> bool:
        texts = (await self.sources()).texts.values()
        lines = (line for text in texts for line in text.split("\n") if path in line)
        return any(path in line.partition("#")[0] for line in lines)

    async def named(self, folders: Collection[str]) -> Mapping[str, str]:
        return await self._named(await self._parsed(), folders)

    async def _named(self, found: Configuration, folders: Collection[str]) -> Mapping[str, str]:
        try:
            return await asyncio.to_thread(named_folders, found, folders)
        except ValueError as error:
            raise ReloadError("cannot read nginx's configuration", str(error)) from error

    async def _parsed(self) -> Configuration:
        return await asyncio.to_thread((await self.sources()).configuration)
