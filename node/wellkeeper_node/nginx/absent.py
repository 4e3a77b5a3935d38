"""A host without nginx, whose certificates are for other nodes: there is nothing to test, to reload or to read."""

from collections.abc import Collection, Mapping, Sequence

from wellkeeper_node.model import Server, Tested


class AbsentNginx:
    """Implements `ports.Nginx`."""

    async def prove(self) -> None:
        """Do nothing."""

    async def test(self) -> Tested:
        return Tested(passed=True, words="", seconds=0.0)

    async def reload(self, tested: Tested | None) -> int:
        del tested
        return 0

    async def finishing(self) -> int:
        return 0

    async def servers(self) -> Sequence[Server]:
        return ()

    async def named(self, folders: Collection[str]) -> Mapping[str, str]:
        del folders
        return {}

    async def mentions(self, path: str) -> bool:
        del path
        return False
