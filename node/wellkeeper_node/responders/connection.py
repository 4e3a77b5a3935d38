"""The Protocol of a connection to a responder, which publications and fetches go through."""

from typing import Protocol

from wellkeeper_node.responders.client import Fetches


class Connection(Protocol):
    """The interface of `ResponderClient`, which raises PublishError: one responder, or several that act as one."""

    @property
    def node(self) -> str: ...

    async def put(self, token: str, message: str) -> str: ...

    async def delete(self, token: str, message: str) -> bool:
        """Return whether it is withdrawn now; False if it will be once a relay answers."""
        ...

    async def fetches(self, after: int, *, wait_seconds: int) -> Fetches: ...

    async def close(self) -> None: ...
