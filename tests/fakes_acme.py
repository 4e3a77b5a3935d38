"""An ACME server in this process, over plain HTTP on the loopback, that can misbehave at any request."""

import asyncio
import json
from base64 import urlsafe_b64decode
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from wellkeeper_node.model import ERROR_PREFIX

TOKEN: Final = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
PROBLEM: Final = {"Content-Type": "application/problem+json"}


@dataclass(frozen=True, slots=True)
class Canned:
    """A canned response; without a status the connection is cut. It carries a nonce unless `has_nonce` is False.

    With `between` the body trickles byte by byte without an end; `between` is called after each byte.
    """

    status: int | None = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    has_nonce: bool = True
    between: Callable[[], None] | None = None


CUT: Final = Canned(None)


def problem(status: int, name: str, detail: str = "the CA's words", **headers: str) -> Canned:
    body = {"type": ERROR_PREFIX + name, "detail": detail}
    return Canned(status, body, PROBLEM | {key.replace("_", "-"): value for key, value in headers.items()})


@dataclass(frozen=True, slots=True)
class Asked:
    """A request; `payload` is None for a POST-as-GET or an unsigned one, `kid` is None for one signed with a JWK."""

    method: str
    path: str
    payload: Any
    kid: str | None
    headers: dict[str, str]


class AcmeServer:
    """`async with AcmeServer() as server`; `answers` are the usual ones by path; those in `next` come first, once each.

    `before` has coroutines by path that are awaited before the answer is sent.
    """

    def __init__(self) -> None:
        self.next: defaultdict[str, deque[Canned]] = defaultdict(deque)
        self.asked: list[Asked] = []
        self.answers: dict[str, Canned] = {}
        self.before: dict[str, Callable[[], Awaitable[None]]] = {}
        self._nonces: set[str] = set()
        self._count = 0

    @property
    def directory_url(self) -> str:
        return self.url("/directory")

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._port}{path}"

    def paths(self) -> list[str]:
        """Return the requested paths except directory, nonces and account."""
        known = {"/directory", "/nonce", "/account"}
        return [one.path for one in self.asked if one.path not in known]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        self.answers = self._usual_answers()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await self._server.wait_closed()

    def offer(self, meta: dict[str, Any] | None = None, **members: object) -> None:
        """Add these members to the directory, and these to its `meta`."""
        directory = self.answers["/directory"].body
        self.answers["/directory"] = Canned(200, {**directory, **members, "meta": directory["meta"] | (meta or {})})

    def order(self, status: str = "pending", **members: object) -> dict[str, Any]:
        urls = {"authorizations": [self.url("/authz")], "finalize": self.url("/finalize")}
        return {"status": status, **urls, **members}

    def authorization(self, status: str = "pending") -> dict[str, Any]:
        challenge = {"type": "http-01", "url": self.url("/chall"), "token": TOKEN, "status": status}
        return {"status": status, "identifier": {"type": "dns", "value": "a.example"}, "challenges": [challenge]}

    def _usual_answers(self) -> dict[str, Canned]:
        meta = {"termsOfService": self.url("/terms")}
        directory = {name: self.url(f"/{path}") for name, path in _DIRECTORY.items()} | {"meta": meta}
        return {
            "/directory": Canned(200, directory),
            "/nonce": Canned(200),
            "/account": Canned(201, {"status": "valid"}, {"Location": self.url("/account/1")}),
            "/order": Canned(201, self.order(), {"Location": self.url("/order/1")}),
            "/order/1": Canned(200, self.order()),
            "/authz": Canned(200, self.authorization()),
            "/chall": Canned(200, {"type": "http-01", "status": "processing"}),
            "/finalize": Canned(200, self.order("processing")),
            "/certificate": Canned(
                200, "-----BEGIN CERTIFICATE-----\n", {"Content-Type": "application/pem-certificate-chain"}
            ),
        }

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = first.split()
        answer = self._answer(method, path, headers, body)
        if path in self.before:
            await self.before[path]()
        if answer.status is not None:
            writer.write(self._encode(method, answer))
        with suppress(ConnectionError):  # the client had enough
            while answer.between and not writer.is_closing():
                answer.between()
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    def _answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Canned:
        payload = kid = None
        if method == "POST":
            protected, payload = (_decoded(json.loads(body)[part]) for part in ("protected", "payload"))
            kid = protected.get("kid")
            if protected["url"] != self.url(path) or protected["nonce"] not in self._nonces:
                return problem(400, "badNonce", "url or nonce")
            self._nonces.discard(protected["nonce"])
        self.asked.append(Asked(method, path, payload, kid, headers))
        if self.next[path]:
            return self.next[path].popleft()
        return self.answers.get(path) or problem(404, "malformed", "nothing there")

    def _encode(self, method: str, answer: Canned) -> bytes:
        text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        body = b"" if method == "HEAD" or answer.body is None else text.encode(errors="surrogateescape")
        headers = {"Content-Type": "application/json", "Connection": "close", **answer.headers}
        if answer.has_nonce:
            self._count += 1
            headers.setdefault("Replay-Nonce", f"nonce{self._count:011d}")
            self._nonces.add(headers["Replay-Nonce"])
        length = 10**9 if answer.between else len(body)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {answer.status} Said\r\nContent-Length: {length}\r\n{lines}\r\n".encode() + body


_DIRECTORY: Final = {"newNonce": "nonce", "newAccount": "account", "newOrder": "order"}


def _decoded(part: str) -> Any:  # noqa: ANN401 - whatever was sent
    return json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4))) if part else None
