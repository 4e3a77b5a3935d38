"""Find out what nginx uses: the files that its configuration names, and the certificates that it serves."""

import asyncio
from collections.abc import Collection, Iterable
from itertools import product
from typing import Final

from wellkeeper_node.deliver.addresses import Question, everywhere
from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Certificate, KeyAlgorithm, Old
from wellkeeper_node.ports import Nginx, Probes

_CONCURRENT_HANDSHAKES: Final = 8


async def served_fingerprints(
    certificates: Collection[Certificate], nginx: Nginx, addresses: Iterable[tuple[str, int]], probes: Probes
) -> frozenset[str]:
    """Return the fingerprints of the leaves served for the names and key algorithms of these certificates.

    Asks every TLS listener in nginx's configuration, as it may serve a copy there, and `addresses`. One at which
    nothing answers serves nothing. Raises ReloadError when `nginx -T` fails.
    """
    servers = await nginx.servers()
    wanted = {(name, one.key_algorithm) for one in certificates for name in one.identifiers}
    questions = everywhere({name for name, _ in wanted}, servers, addresses)
    limit = asyncio.Semaphore(_CONCURRENT_HANDSHAKES)

    async def ask(one: Question, key_algorithm: KeyAlgorithm | None) -> Certificate | None:
        async with limit:
            try:
                leaf = await probes.handshake(one.address, one.identifier, None, one.speaks_proxy_protocol)
                if leaf is None or key_algorithm in {None, leaf.key_algorithm}:
                    return leaf
                return await probes.handshake(one.address, one.identifier, key_algorithm, one.speaks_proxy_protocol)
            except VerifyError:
                return None

    asked = [
        ask(one, algorithm)
        for one, (name, algorithm) in product(questions, wanted)
        if one.identifier.is_covered_by({name})
    ]
    return frozenset(leaf.fingerprint_sha256 for leaf in await asyncio.gather(*asked) if leaf is not None)


async def unused(old: Collection[Old], nginx: Nginx, addresses: Iterable[tuple[str, int]], probes: Probes) -> list[Old]:
    """Return the versions that nginx neither names nor serves. Raises ReloadError when `nginx -T` fails."""
    named = await nginx.named([one.folder for one in old])
    served = await served_fingerprints([one.certificate for one in old if one.certificate], nginx, addresses, probes)
    return [
        one
        for one in old
        if one.folder not in named and (one.certificate is None or one.certificate.fingerprint_sha256 not in served)
    ]
