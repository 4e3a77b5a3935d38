"""The Protocols of hooks, notifications and CSRs of administrators, which `outside.host` implements."""

from typing import Protocol

from wellkeeper_issuer.records import Event, Notice, Occasion


class Hooks(Protocol):
    """Commands of the administrator around a renewal."""

    async def run(self, event: Event, about: Occasion) -> None:
        """Run the hook, if there is one. Raises HookError with the command's last output."""
        ...

    def is_there(self, event: Event) -> bool: ...


class Notifications(Protocol):
    """Notifications to the administrator."""

    async def send(self, notice: Notice, lineage: str, detail: str) -> None:
        """Send the notice, if a recipient is configured. Raises HookError when it was not delivered.

        `lineage` is the name of the node for a notice about one, and "" for a finding about this host.
        """
        ...


class CsrFiles(Protocol):
    """CSRs of the administrator."""

    async def read_csr(self, path: str) -> bytes:
        """Return the content of the file. Raises SettingsError."""
        ...
