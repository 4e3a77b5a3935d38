"""The stage verify."""

import pytest

from tests.fakes_certificates import FakeCertificates
from tests.fakes_deliver import FakeCa, dns
from tests.fakes_nginx import FakeNginx, FakeProbes
from wellkeeper_node.certificates import reading
from wellkeeper_node.deliver.addresses import plan
from wellkeeper_node.deliver.verify import verify
from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Certificate, Identifier, IdentifierType, Installed, KeyType, Served

A, B = dns("a.example"), dns("b.example")
V4, V6 = ("192.0.2.7", 443), ("2001:db8::7", 443)


class Node:
    """A node with a certificate for two names; `use` makes nginx's configuration name it."""

    def __init__(self) -> None:
        self.ca = FakeCa()
        self.leaf = reading.read_certificate(self.ca.pair(A, B).chain_pem)
        self.certificates = FakeCertificates()
        self.nginx = FakeNginx(self.certificates)
        self.probes = FakeProbes()

    def use(self) -> None:
        self.nginx.needed.add("web")

    def serve(self, leaf: Certificate | None) -> None:
        self.probes.leaves |= {(address, name): leaf for address in (V4, V6) for name in (A, B)}

    def other(self) -> Certificate:
        return reading.read_certificate(self.ca.pair(A).chain_pem)

    async def verify(self, addresses: tuple[tuple[str, int], ...] = (V4, V6)) -> Served:
        return await self.verify_installed(Installed("web", "v1", self.leaf), addresses)

    async def verify_installed(self, installed: Installed, addresses: tuple[tuple[str, int], ...]) -> Served:
        wanted = plan(
            installed.certificate.identifiers,
            await self.nginx.servers(),
            lambda path: path.startswith(self.certificates.own_prefixes("web")),
            addresses,
        )
        certificates = self.certificates
        return await verify(installed, wanted, certificates.live_path("web"), self.probes, certificates.versions)


async def test_installed_leaf_at_every_address_is_served() -> None:
    node = Node()
    node.serve(node.leaf)
    served = await node.verify()
    assert served == Served(True, node.leaf.fingerprint_sha256, "4 handshakes")


async def test_archive_is_not_listed_for_a_certificate_that_is_served() -> None:
    async def list_none(_lineage: str) -> list[str]:
        raise AssertionError("every check would read a directory")

    node = Node()
    node.serve(node.leaf)
    wanted = plan(node.leaf.identifiers, (), lambda _: False, (V4,))
    assert (await verify(Installed("web", "v1", node.leaf), wanted, "/live/web", node.probes, list_none)).is_served


async def test_certificate_missing_from_the_configuration_is_not_served_and_its_lines_are_shown() -> None:
    node = Node()
    other = node.other()
    node.serve(other)
    served = await node.verify()
    assert (served.is_served, served.fingerprint_sha256) == (False, other.fingerprint_sha256)
    assert "a.example, b.example" in served.detail
    assert "    ssl_certificate     /certificates/live/web/fullchain.pem;\n" in served.detail
    assert "    ssl_certificate_key /certificates/live/web/privkey.pem;\n" in served.detail


async def test_shown_lines_have_a_placeholder_for_a_key_kept_elsewhere() -> None:
    node = Node()
    installed = Installed("web", "v1", node.leaf, has_key=False)
    served = await node.verify_installed(installed, (V4,))
    assert "    ssl_certificate_key THE KEY OF YOUR CSR;\n" in served.detail


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("192.0.2.7", [V4]),
        ("192.0.2.8", [V4]),
        ("2001:db8::9", [V6]),
    ],
    ids=["same address", "same family", "IPv6"],
)
async def test_ip_address_is_verified_at_the_addresses_of_its_family(
    identifier: str, expected: list[tuple[str, int]]
) -> None:
    """Allow the default servers of IPv4 and IPv6 a certificate each."""
    node = Node()
    ip = Identifier(IdentifierType.IP, identifier)
    leaf = reading.read_certificate(node.ca.pair(ip).chain_pem)
    node.use()
    node.probes.leaves = {(address, ip): leaf if address in expected else node.other() for address in (V4, V6)}
    served = await node.verify_installed(Installed("web", "v1", leaf), (V4, V6))
    assert served == Served(
        True, leaf.fingerprint_sha256, f"{len(expected)} handshake{'' if len(expected) == 1 else 's'}"
    )


async def test_ip_address_of_a_missing_family_is_verified_at_every_address() -> None:
    node = Node()
    ip = Identifier(IdentifierType.IP, "2001:db8::9")
    leaf = reading.read_certificate(node.ca.pair(ip).chain_pem)
    node.probes.leaves = {(V4, ip): leaf}
    served = await node.verify_installed(Installed("web", "v1", leaf), (V4,))
    assert served.is_served


@pytest.mark.parametrize("listens", [True, False])
async def test_unnamed_certificate_without_handshakes_is_not_served_yet(listens: bool) -> None:
    node = Node()
    if listens:
        node.serve(None)
    served = await node.verify()
    assert (served.is_served, served.fingerprint_sha256) == (False, None)


async def test_wrong_certificate_at_a_unix_socket_is_described_by_its_path() -> None:
    node = Node()
    node.use()
    node.probes.leaves = dict.fromkeys([(("unix:/run/a.sock", 0), A), (("unix:/run/a.sock", 0), B)], node.other())
    with pytest.raises(VerifyError, match=r": unix:/run/a\.sock serves serial "):
        await node.verify((("unix:/run/a.sock", 0),))


async def test_another_certificate_is_an_error_that_describes_it() -> None:
    node = Node()
    node.use()
    node.serve(node.leaf)
    other = node.probes.leaves[V6, B] = node.other()
    with pytest.raises(VerifyError) as caught:
        await node.verify()
    text = str(caught.value)
    assert f"[2001:db8::7]:443 serves serial {other.serial} for b.example (issued by Fake Intermediate" in text
    assert f"serial {node.leaf.serial}" in text
    assert "default_server" in text
    assert "for a.example" not in text


@pytest.mark.parametrize("is_refused", [True, False])
async def test_name_that_this_nginx_does_not_serve_is_only_reported(is_refused: bool) -> None:
    node = Node()
    node.use()
    node.serve(node.leaf)
    for address in (V4, V6):
        node.probes.leaves[address, B] = None if is_refused else node.other()
    served = await node.verify()
    assert served == Served(True, node.leaf.fingerprint_sha256, "2 handshakes; no server block here serves b.example")


async def test_handshake_requests_the_key_type_of_the_certificate() -> None:
    node = Node()
    node.use()
    rsa = reading.read_certificate(node.ca.pair(A, B, key_type=KeyType.RSA_2048).chain_pem)
    node.serve(rsa)
    node.probes.second_leaves = dict.fromkeys(node.probes.leaves, node.leaf)
    assert await node.verify() == Served(True, node.leaf.fingerprint_sha256, "4 handshakes")


async def test_older_certificate_of_the_same_key_type_is_an_error() -> None:
    node = Node()
    node.use()
    node.serve(reading.read_certificate(node.ca.pair(A, B, key_type=KeyType.RSA_2048).chain_pem))
    older = reading.read_certificate(node.ca.pair(A, B).chain_pem)
    node.probes.second_leaves = dict.fromkeys(node.probes.leaves, older)
    with pytest.raises(VerifyError, match=f"serves serial {older.serial} for a.example"):
        await node.verify()


async def test_certificate_of_another_key_type_only_is_an_error_with_the_likely_cause() -> None:
    node = Node()
    node.use()
    rsa = reading.read_certificate(node.ca.pair(A, B, key_type=KeyType.RSA_2048).chain_pem)
    node.serve(rsa)
    with pytest.raises(
        VerifyError, match=rf"serial {rsa.serial}.* add TLSv1\.2 to ssl_protocols.* the ECDSA certificate"
    ):
        await node.verify()


async def test_older_certificate_for_one_of_the_names_is_an_error() -> None:
    node = Node()
    node.use()
    node.serve(node.leaf)
    older = reading.read_certificate(node.ca.pair(A, B).chain_pem)
    for address in (V4, V6):
        node.probes.leaves[address, B] = older
    with pytest.raises(VerifyError, match=f"serves serial {older.serial} for b.example"):
        await node.verify()


async def test_refused_handshake_is_an_error_when_the_configuration_names_the_certificate() -> None:
    node = Node()
    node.use()
    node.serve(None)
    with pytest.raises(
        VerifyError, match=r"192\.0\.2\.7:443 refuses the TLS handshake for a\.example.*3 more wrong handshakes"
    ):
        await node.verify()


async def test_missing_handshake_is_an_error_when_the_configuration_names_the_certificate() -> None:
    node = Node()
    node.use()
    with pytest.raises(VerifyError, match=r"no TLS handshake for a\.example at 192\.0\.2\.7:443.*listen 443 ssl"):
        await node.verify()


async def test_node_without_https_addresses_is_never_called_served() -> None:
    node = Node()
    assert not (await node.verify(())).is_served
    node.use()
    with pytest.raises(VerifyError, match="no https_addresses"):
        await node.verify(())
