"""Versions that nginx uses: it names a file of them, or serves their certificate."""

from dataclasses import replace

import pytest

from tests.fakes_certificates import FakeCertificates
from tests.fakes_deliver import FakeCa, dns
from tests.fakes_nginx import FakeNginx, FakeProbes
from wellkeeper_node.certificates import reading
from wellkeeper_node.deliver.in_use import served_fingerprints, unused
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.model import Certificate, KeyType, Listener, Old, Server

A, ADDRESS = dns("a.example"), ("192.0.2.7", 443)
PLACES = [("192.0.2.6", 443), ADDRESS]  # nothing answers at the first


def leaf(key_type: KeyType = KeyType.ECDSA_P256) -> Certificate:
    return reading.read_certificate(FakeCa().pair(A, key_type=key_type).chain_pem)


FIRST, SECOND = Old("v1", "/archive/web/v1", leaf()), Old("v2", "/archive/web/v2", leaf())
DAMAGED = Old("v0", "/archive/web/v0", None)


@pytest.fixture
def nginx() -> FakeNginx:
    return FakeNginx(FakeCertificates())


@pytest.fixture
def probes() -> FakeProbes:
    return FakeProbes()


async def test_version_that_nginx_neither_names_nor_serves_is_unused(nginx: FakeNginx, probes: FakeProbes) -> None:
    probes.leaves[ADDRESS, A] = leaf()
    assert await unused([DAMAGED, FIRST, SECOND], nginx, PLACES, probes) == [DAMAGED, FIRST, SECOND]


async def test_named_version_is_used(nginx: FakeNginx, probes: FakeProbes) -> None:
    nginx.named_folders = {FIRST.folder, DAMAGED.folder}
    assert await unused([DAMAGED, FIRST, SECOND], nginx, PLACES, probes) == [SECOND]


async def test_served_version_is_used_also_as_a_copy_elsewhere(nginx: FakeNginx, probes: FakeProbes) -> None:
    probes.leaves[ADDRESS, A] = SECOND.certificate
    assert await unused([DAMAGED, FIRST, SECOND], nginx, PLACES, probes) == [DAMAGED, FIRST]


async def test_version_that_is_served_to_clients_of_its_key_type_is_used(nginx: FakeNginx, probes: FakeProbes) -> None:
    rsa = leaf(KeyType.RSA_2048)
    probes.leaves[ADDRESS, A], probes.second_leaves[ADDRESS, A] = leaf(), rsa
    assert await unused([replace(FIRST, certificate=rsa)], nginx, PLACES, probes) == []
    assert await served_fingerprints([rsa], nginx, PLACES, probes) == {rsa.fingerprint_sha256}


@pytest.mark.parametrize("address", [("127.0.0.1", 8443), ("unix:/run/tls.sock", 0)], ids=["port", "socket"])
@pytest.mark.parametrize("speaks_proxy_protocol", [False, True], ids=["plain", "PROXY protocol"])
async def test_version_that_only_another_listener_serves_is_used(
    nginx: FakeNginx, probes: FakeProbes, address: tuple[str, int], speaks_proxy_protocol: bool
) -> None:
    hidden = Listener(("192.0.2.9", 443), is_visible=False)
    listener = Listener(address, speaks_proxy_protocol=speaks_proxy_protocol)
    nginx.blocks = [Server(("of.another.name",), (hidden, listener), frozenset({"/copy/fullchain.pem"}))]
    probes.leaves[address, A] = FIRST.certificate
    assert await unused([FIRST, SECOND], nginx, PLACES, probes) == [SECOND]
    assert probes.greeted == {**dict.fromkeys(PLACES), address: speaks_proxy_protocol}


async def test_configuration_that_cannot_be_read_is_an_error(nginx: FakeNginx, probes: FakeProbes) -> None:
    nginx.is_dump_broken = True
    with pytest.raises(ReloadError):
        await unused([FIRST], nginx, PLACES, probes)


async def test_version_with_a_wildcard_is_used_if_a_name_below_it_gets_it(nginx: FakeNginx, probes: FakeProbes) -> None:
    wildcard = reading.read_certificate(FakeCa().pair(dns("*.example")).chain_pem)
    nginx.blocks = [Server(("a.example",), (Listener(ADDRESS),), frozenset({"/copy/fullchain.pem"}))]
    probes.leaves[ADDRESS, A] = wildcard
    assert await unused([replace(FIRST, certificate=wildcard)], nginx, PLACES, probes) == []
