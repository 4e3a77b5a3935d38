"""The Protocols of what administrators provide or receive, which `outside.host` implements."""

from typing import Protocol

from wellkeeper_issuer.records import Event, Notice, Occasion


class Hooks(Protocol):
    """Commands of the administrator around a renewal."""

    async def run(self, event: Event, about: Occasion) -> None:
        """Nothing when there is no such hook. Raises HookError with what the command said."""
        ...

    def is_there(self, event: Event) -> bool: ...


class Notifications(Protocol):
    """Messages to the administrator."""

    async def tell(self, notice: Notice, lineage: str, detail: str) -> None:
        """Send the notice; do nothing if no receiver is configured. Raises HookError if it could not be sent."""
        ...


class CsrFiles(Protocol):
    """CSRs that the administrator made."""

    async def read_csr(self, path: str) -> bytes:
        """The bytes of the file. Raises SettingsError."""
        ...
