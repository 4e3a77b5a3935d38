"""A site in containers on one host, as an administrator handles it, whatever runs the containers."""

from pathlib import Path
from typing import Any, Protocol

from stand.processes import StandError
from tests.containers.site import NAME, Site


class Deployment(Protocol):
    """An example below examples/ with nginx, the responder and the issuer, with images and the CA of the test."""

    async def configuration(self) -> Path:
        """Return the directory with the site's files for nginx."""
        ...

    async def up(self) -> None:
        """Start the containers, as the documentation says."""
        ...

    async def exec(self, service: str, *argv: str) -> str:
        """Return the output of a command in a container. Raises StandError when it fails."""
        ...

    async def restart(self, *services: str) -> None:
        """Restart the containers of the services, one after another."""
        ...

    async def crash(self, service: str) -> None:
        """Kill the first process of a container, as a crash does."""
        ...

    async def state(self, service: str) -> Any:  # noqa: ANN401 - whatever the engine tells
        """Return what the engine tells about the container of a service. Raises StandError if there is none."""
        ...

    async def upgrade(self) -> None:
        """Replace all containers by those of images with the tag `next`, as the documentation says."""
        ...

    async def log(self) -> str:
        """Return the state and the log of all containers."""
        ...


async def renew(deployment: Deployment, site: Site) -> None:
    """Renew the certificate of the site, as soon as the daemon answers."""

    async def is_healthy() -> bool:
        try:
            await deployment.exec("issuer", "wellkeeper", "--check-health")
        except StandError:
            return False
        return True

    await site.until(is_healthy)
    await deployment.exec("issuer", "wellkeeper", "renew", "--force", NAME)
