"""Find out what nginx uses: the files that its configuration names, and the certificates that it serves."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from itertools import product
from typing import Final

from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Certificate, Identifier, KeyAlgorithm, Old
from wellkeeper_node.ports import Nginx, Probes

_CONCURRENT_HANDSHAKES: Final = 8


async def served_fingerprints(
    certificates: Iterable[Certificate], addresses: Sequence[tuple[str, int]], probes: Probes
) -> frozenset[str]:
    """Return the fingerprints of the leaves served for the names and key algorithms of these certificates.

    An address at which nothing answers serves nothing.
    """
    limit = asyncio.Semaphore(_CONCURRENT_HANDSHAKES)
    questions = {(name, one.key_algorithm) for one in certificates for name in one.identifiers}

    async def ask(address: tuple[str, int], name: Identifier, key_algorithm: KeyAlgorithm | None) -> Certificate | None:
        async with limit:
            try:
                leaf = await probes.handshake(address, name)
                if leaf is None or key_algorithm in {None, leaf.key_algorithm}:
                    return leaf
                return await probes.handshake(address, name, key_algorithm)
            except VerifyError:
                return None

    leaves = await asyncio.gather(*(ask(address, *question) for address, question in product(addresses, questions)))
    return frozenset(leaf.fingerprint_sha256 for leaf in leaves if leaf is not None)


async def unused(old: Collection[Old], nginx: Nginx, addresses: Sequence[tuple[str, int]], probes: Probes) -> list[Old]:
    """Return the versions that nginx neither names nor serves. Raises ReloadError when `nginx -T` fails."""
    named = await nginx.named([one.folder for one in old])
    served = await served_fingerprints([one.certificate for one in old if one.certificate], addresses, probes)
    return [
        one
        for one in old
        if one.folder not in named and (one.certificate is None or one.certificate.fingerprint_sha256 not in served)
    ]
