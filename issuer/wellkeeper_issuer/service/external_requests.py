"""Requests over the daemon's socket to deliver what another ACME client obtained: the next pass installs it."""

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final

from wellkeeper_issuer.errors import DaemonError
from wellkeeper_issuer.external import check_pair, make_attempt
from wellkeeper_issuer.outside.daemon.server import Handler, Tell
from wellkeeper_issuer.outside.daemon.socket import Message
from wellkeeper_issuer.ports.state import Attempts
from wellkeeper_node.model import Pair
from wellkeeper_node.ports import Clock

_log = logging.getLogger(__name__)

DELIVER: Final = "deliver"


def to_request(name: str, pair: Pair) -> dict[str, str]:
    """Return the request to deliver the pair."""
    key, chain = pair.certificate_key_pem.decode("latin-1"), pair.chain_pem.decode("latin-1")
    return {"command": DELIVER, "name": name, "key": key, "chain": chain}


class ExternalRequests:
    """`handlers` answer the request; `slot` keeps passes from working on a certificate, and waits for one that does."""

    def __init__(
        self, attempts: Attempts, slot: Callable[[str], AbstractAsyncContextManager[None]], clock: Clock
    ) -> None:
        self._attempts = attempts
        self._slot = slot
        self._clock = clock

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {DELIVER: self.deliver}

    async def deliver(self, request: Message, _tell: Tell) -> Message:
        """Record the pair. A pass under way on this certificate ends first: it would forget what is recorded."""
        found = [request.get(member) for member in ("name", "key", "chain")]
        if not all(isinstance(one, str) for one in found):
            raise DaemonError("name, key and chain must be strings")
        name, key, chain = map(str, found)
        pair = Pair(key.encode("latin-1"), chain.encode("latin-1"))
        check_pair(pair, self._clock.now())
        async with self._slot(name):
            await self._attempts.record_attempt(make_attempt(name, pair))
        _log.info("received certificate %s from another client", name)
        return {"name": name}
