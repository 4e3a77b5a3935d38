"""An nginx with a server block for one certificate, and handshakes with it."""

from typing import Any, Final

from tests.fakes_certificates import FakeCertificates
from tests.fakes_nginx import FakeNginx, FakeProbes
from tests.fleet import A
from wellkeeper_node.certificates import reading
from wellkeeper_node.model import Answer, Certificate, Identifier, KeyAlgorithm, Listener, Node, ReadBack, Server

ADDRESS: Final = ("127.0.0.1", 443)


class ServingProbes(FakeProbes):
    """Handshakes get the certificate that the fake nginx has loaded, or `instead`; or are refused, or fail."""

    def __init__(self, certificates: FakeCertificates) -> None:
        super().__init__()
        self._certificates = certificates
        self.loaded: dict[str, str] = {}
        self.instead: Certificate | None = None
        self.error: Exception | None = None
        self.is_refusing = False
        self.failure: Exception | None = None

    async def read_back(self, node: Node, answer: Answer) -> tuple[ReadBack, ...]:
        if self.error is not None:
            raise self.error
        return await super().read_back(node, answer)

    async def handshake(
        self,
        address: tuple[str, int],  # noqa: ARG002
        identifier: Identifier,
        key_algorithm: KeyAlgorithm | None = None,  # noqa: ARG002
        speaks_proxy_protocol: bool | None = None,  # noqa: ARG002
    ) -> Certificate | None:
        if self.failure is not None:
            raise self.failure
        if self.instead is not None or self.is_refusing:
            return self.instead
        loaded = self._certificates.pairs["web"][self.loaded["web"]]
        leaf = reading.read_certificate(loaded.chain_pem)
        return leaf if identifier in leaf.identifiers else None


class LoadingNginx(FakeNginx):
    """An nginx with a server block for the lineage `web`."""

    def __init__(self, certificates: FakeCertificates, probes: ServingProbes) -> None:
        super().__init__(certificates)
        self._probes = probes
        self.needed.add("web")
        path = f"{certificates.live_path('web')}/fullchain.pem"
        self.blocks.append(Server((A.value,), (Listener(ADDRESS),), frozenset({path})))

    async def reload(self, tested: Any) -> int:  # noqa: ANN401 - as FakeNginx's
        count = await super().reload(tested)
        self._probes.loaded = dict(self.reloads[-1])
        return count
