"""Look the names of the certificates up in DNS, once for all checks."""

from collections.abc import Mapping, Sequence

from wellkeeper_issuer.assembly.doctor.internal_cas import is_internal, is_trusted_by_clients
from wellkeeper_issuer.doctor.checks import Network
from wellkeeper_issuer.doctor.names import Name, Resolved, resolve
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.ports.dns import Dns
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.certificates.leaves import read_leaves
from wellkeeper_node.certificates.live import LiveFolder
from wellkeeper_node.errors import InstallError
from wellkeeper_node.model import Identifier


async def resolve_names(settings: Settings, lineages: Sequence[Lineage], dns: Dns) -> Mapping[Identifier, Resolved]:
    """Return the replies by identifier."""
    is_public = dict[Identifier, bool]()
    for lineage in lineages:
        for identifier in lineage.identifiers:
            needs = any(not is_internal(settings, url) for url in lineage.directory_urls)
            is_public[identifier] = needs or is_public.get(identifier, False)
    proven = await _proven(settings, lineages)
    return await resolve([Name(one, needs, one in proven) for one, needs in is_public.items()], dns)


async def _proven(settings: Settings, lineages: Sequence[Lineage]) -> frozenset[Identifier]:
    """Return the names in installed certificates of CAs that clients trust."""
    trusted = {one.name for one in lineages if all(is_trusted_by_clients(settings, url) for url in one.directory_urls)}
    try:
        versions = await LiveFolder(settings.certificates_dir).versions()
        chosen = {name: version for name, version in versions.items() if name in trusted}
        leaves = await read_leaves(settings.certificates_dir, chosen)
    except InstallError:
        return frozenset()  # the check of certificates reports it
    return frozenset(one for leaf in leaves.values() if not leaf.is_self_signed for one in leaf.identifiers)


def open_dns(network: Network) -> Dns:
    """Return the name servers that checks may ask."""
    from wellkeeper_issuer.outside.host.dns_client import DnsClient, system_servers

    return DnsClient(network.dns_servers or system_servers())
