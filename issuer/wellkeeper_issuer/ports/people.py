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
    """How the administrator is told."""

    async def tell(self, notice: Notice, lineage: str, detail: str) -> None:
        """Nothing when nobody is to be told. Raises HookError when it could not be handed over."""
        ...


class CsrFiles(Protocol):
    """CSRs that the administrator made."""

    async def read_csr(self, path: str) -> bytes:
        """The bytes of the file. Raises SettingsError."""
        ...
