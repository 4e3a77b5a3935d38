"""Fakes of nginx: one that looks at fake certificates, and handshakes with it."""

from collections.abc import Callable, Collection, Sequence

from tests.fakes import FakeClock
from tests.fakes_certificates import FakeCertificates
from wellkeeper_node.errors import RefusedError, ReloadError, VerifyError
from wellkeeper_node.model import Answer, Certificate, Identifier, KeyAlgorithm, Node, ReadBack, Server, Tested


class FakeNginx:
    """`ports.Nginx`: its configuration names the lineages in `needed`; versions in `bad_versions` do not load.

    Blocks of `needed` have no addresses; `blocks` are further ones. With `names_nothing`, it reads
    copies of the files.

    With `is_tested_by_reload`, nothing can run `nginx -t`. `broken` are words of something else that is wrong;
    `refusal` makes a reload fail though the test passed.
    """

    def __init__(self, certificates: FakeCertificates, clock: FakeClock | None = None) -> None:
        self._certificates = certificates
        self._clock = clock or FakeClock()
        self.needed: set[str] = set()
        self.named_folders: set[str] = set()
        self.is_dump_broken = False
        self.blocks: list[Server] = []
        self.names_nothing = False
        self.servers_count = 0
        self.servers_error: ReloadError | None = None
        self.bad_versions: set[str] = set()
        self.broken: str | None = None
        self.refusal: str | None = None
        self.test_count = 0
        self.is_tested_by_reload = False
        self.tested_at: list[float] = []
        self.unreachable: str | None = None
        self.finishing_count = 0
        self.reloads: list[dict[str, str]] = []
        self.at_test: Callable[[int], None] = lambda _: None

    async def prove(self) -> None:
        if self.unreachable is not None:
            raise ReloadError(self.unreachable)

    async def test(self) -> Tested | None:
        if self.is_tested_by_reload:
            return None
        self.test_count += 1
        self.at_test(self.test_count)
        words = self._words()
        return Tested(words is None, words or "", 0.1)

    async def reload(self, tested: Tested | None) -> int:
        if tested is None:
            self._check_by_reload()
        elif not tested.passed:
            raise ReloadError("reload was asked for although the test failed")
        self._clock.advance(0.2)
        if self.refusal is not None:
            raise ReloadError(self.refusal)
        self.reloads.append(dict(self._certificates.live))
        return self.finishing_count

    async def finishing(self) -> int:
        return self.finishing_count

    async def named(self, folders: Collection[str]) -> dict[str, str]:
        if self.is_dump_broken:
            raise ReloadError("cannot read nginx's configuration ('nginx -T')")
        return dict.fromkeys(self.named_folders & set(folders), "/etc/nginx/nginx.conf:7")

    async def servers(self) -> Sequence[Server]:
        self.servers_count += 1
        if self.servers_error is not None:
            raise self.servers_error
        needing = [
            Server((), (), frozenset({f"{self._certificates.live_path(name)}/fullchain.pem"})) for name in self.needed
        ]
        return self.blocks if self.names_nothing else [*self.blocks, *needing]

    def _check_by_reload(self) -> None:
        if not self.is_tested_by_reload:
            raise ReloadError("reload was asked for without a test")
        self.test_count += 1
        self.tested_at.append(self._clock.monotonic())
        words = self._words()
        if words is not None:
            raise RefusedError("nginx keeps the old certificates", words)

    def _words(self) -> str | None:
        if self.broken is not None:
            return self.broken
        for name in sorted(self.needed):
            version = self._certificates.live.get(name)
            if version is None:
                return f"[emerg] cannot load certificate {name}: no such file"
            if version in self.bad_versions:
                return f"[emerg] cannot load certificate {name}: key values mismatch"
        return None


class FakeProbes:
    """`ports.Probes`: handshakes return `leaves`, by address and name; other addresses refuse connections.

    `second_leaves` are for clients that do not accept the first one's key algorithm.
    """

    def __init__(self) -> None:
        self.leaves: dict[tuple[tuple[str, int], Identifier], Certificate | None] = {}
        self.second_leaves: dict[tuple[tuple[str, int], Identifier], Certificate] = {}
        self.cause: str | None = None
        self.greeted: dict[tuple[str, int], bool | None] = {}

    async def read_back(self, node: Node, answer: Answer) -> tuple[ReadBack, ...]:
        return tuple(
            ReadBack(node.name, f"http://{answer.identifier}/", f"{host}:{port}", 200, self.cause)
            for host, port in node.http_addresses
        )

    async def handshake(
        self,
        address: tuple[str, int],
        identifier: Identifier,
        key_algorithm: KeyAlgorithm | None = None,
        speaks_proxy_protocol: bool | None = None,
    ) -> Certificate | None:
        self.greeted[address] = speaks_proxy_protocol
        if (address, identifier) not in self.leaves:
            raise VerifyError(f"no TLS handshake for {identifier} at {address[0]}:{address[1]}")
        leaf = self.leaves[address, identifier]
        if leaf is None or key_algorithm is None or leaf.key_algorithm is key_algorithm:
            return leaf
        return self.second_leaves.get((address, identifier))
