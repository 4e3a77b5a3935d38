"""Write many certificates for an issuer, or placeholders for nginx of a node."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.ca import Ca, dns
from bench.fleet.places import Place
from stand.nginx import NginxServer, NginxSettings, Site
from wellkeeper_node.certificates.folders import CertificateFolders


def names(count: int) -> list[str]:
    """Return the names of lineages; each is the name of its certificate, too."""
    return [f"www{number:04}.bench.test" for number in range(count)]


async def install(certificates_dir: Path, lineages: Sequence[str]) -> None:
    """Make a certificate of each lineage live, in place of one that is live there."""
    folders, ca = CertificateFolders(certificates_dir), Ca(datetime.now(UTC))
    for lineage in lineages:
        version = await folders.write(lineage, ca.pair([dns(lineage)]))
        await folders.switch(lineage, version)


async def prepared_nginx(place: Place, lineages: Sequence[str]) -> NginxServer:
    """Return the node's nginx, with a server block and another certificate for each lineage."""
    await install(place.certificates, lineages)
    sites = tuple(Site((one,), place.certificates / "live" / one) for one in lineages)
    settings = NginxSettings(place.public_socket, (place.http,), (place.https,), sites, worker_count=1)
    return NginxServer(place.folder / "nginx", settings)
