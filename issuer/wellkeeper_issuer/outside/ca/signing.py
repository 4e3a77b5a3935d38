"""Sign requests to a CA and send them, with a fresh nonce each (RFC 8555 sections 6.2 and 6.5).

Nonces are shared by all requests to the CA. A rejected nonce is replaced by the one that comes with the refusal; a
reply without a valid nonce is a reply like any other (section 6.5.1).
"""

from dataclasses import dataclass
from typing import Final

from acme.jws import JWS
from josepy.b64 import b64decode, b64encode
from josepy.interfaces import JSONDeSerializable
from josepy.jwa import JWASignature
from josepy.jwk import JWK

from wellkeeper_issuer.outside.ca.json_replies import ReplyError
from wellkeeper_issuer.outside.ca.problems import ProblemError, read_problem
from wellkeeper_issuer.outside.ca.server import CaServer
from wellkeeper_issuer.outside.ca.session import Reply
from wellkeeper_node.ports import Clock

# Even if the CA rejects half of all nonces, 1 request in 17 million fails.
_NONCE_TRIES: Final = 24
_MOST_NONCES: Final = 64
# A CA that supports only HEAD, although RFC 8555 section 7.2 wants both.
_NO_GET: Final = frozenset({400, 403, 404, 405, 501})


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that signs; `account_url` is None where the key itself goes with the request (RFC 8555 section 6.2)."""

    key: JWK
    algorithm: JWASignature
    account_url: str | None = None

    def sign(self, url: str, message: JSONDeSerializable | None, nonce: bytes) -> bytes:
        """Return the body of the request; takes 0.1 ms with P-256 and 1.4 ms with RSA of 4096 bits."""
        payload = b"" if message is None else message.json_dumps().encode()
        signed = JWS.sign(payload, self.key, self.algorithm, nonce, url, self.account_url)
        text: str = signed.json_dumps()
        return text.encode()


class SignedRequests:
    """Requests to one CA."""

    def __init__(self, server: CaServer, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._nonces: list[bytes] = []

    async def send(self, url: str, message: JSONDeSerializable | None, signer: Signer) -> Reply:
        """Send a signed POST; a POST-as-GET when `message` is None. Raises ProblemError for an error reply."""
        nonce = self._nonces.pop() if self._nonces else await self._fetch_nonce()
        for _ in range(_NONCE_TRIES):
            reply = await self._server.session.post(url, signer.sign(url, message, nonce))
            following = _nonce(reply)
            if not reply.is_error:
                self._keep(following)
                return reply
            problem = read_problem(reply, self._clock.now())
            if problem.name != "badNonce":
                self._keep(following)
                break
            self._nonces.clear()  # probably as old
            nonce = following or await self._fetch_nonce()
        raise ProblemError(problem)

    async def prepare(self) -> None:
        """Get a nonce for the next request, unless there is one."""
        if not self._nonces:
            self._keep(await self._fetch_nonce())

    async def read_nonce(self) -> None:
        """Get a nonce even if there is one."""
        self._keep(await self._fetch_nonce())

    def _keep(self, nonce: bytes | None) -> None:
        if nonce is not None and len(self._nonces) < _MOST_NONCES:
            self._nonces.append(nonce)

    async def _fetch_nonce(self) -> bytes:
        """Ask with GET first: after a reply to HEAD without Content-Length, as Go writes it, aiohttp hangs up."""
        url, session = (await self._server.directory())["newNonce"], self._server.session
        reply = await session.get(url)
        if reply.status in _NO_GET:
            reply = await session.head(url)
        if reply.is_error:
            raise ProblemError(read_problem(reply, self._clock.now()))
        nonce = _nonce(reply)
        if nonce is None:
            raise ReplyError("it has no valid Replay-Nonce header")
        return nonce


def _nonce(reply: Reply) -> bytes | None:
    """Return the nonce of the reply; None when it has none that can be signed exactly as the CA wrote it."""
    text = reply.headers.get("Replay-Nonce", "")
    try:
        nonce: bytes = b64decode(text)
        return nonce if nonce and b64encode(nonce).decode() == text else None
    except (ValueError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends requests to one CA, signed with one key."""

    requests: SignedRequests
    signer: Signer

    async def send(self, url: str, message: JSONDeSerializable | None) -> Reply:
        """Send a signed POST; a POST-as-GET when `message` is None. Raises ProblemError for an error reply."""
        return await self.requests.send(url, message, self.signer)
