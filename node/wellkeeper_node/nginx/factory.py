"""Choose how nginx is reached: by its own binary here, or through its processes alone."""

from typing import Protocol

from wellkeeper_node.nginx.agent import AgentNginx
from wellkeeper_node.nginx.configuration import Configuration
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.local import LocalNginx
from wellkeeper_node.nginx.shared import SharedNginx
from wellkeeper_node.ports import Clock, Nginx


class HostNginx(Nginx, Protocol):
    """The nginx of this host, with its configuration."""

    async def configuration(self) -> Configuration:
        """Return the configuration on disk. Raises ReloadError when it cannot be read or understood."""
        ...

    async def files(self) -> dict[str, str]:
        """Return the text of each file of the configuration on disk by its path. Raises ReloadError."""
        ...

    async def mentions(self, path: str) -> bool:
        """Return True when the configuration on disk contains the path; comments do not count. Raises ReloadError."""
        ...


def make_nginx(control: Control, clock: Clock) -> HostNginx:
    """Return the nginx that these settings reach."""
    if control.agent is not None:
        return AgentNginx(control.agent, clock)
    return SharedNginx(control, clock) if control.way == "shared" else LocalNginx(control, clock)
