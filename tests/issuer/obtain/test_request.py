"""request: a new key, the one that is live, or a CSR of the administrator's."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.fakes import FakeClock
from tests.fakes_certificates import FakeCertificates
from tests.fakes_deliver import NOW, FakeCa, dns
from tests.fakes_obtain import FakeAuthority
from tests.issuer.obtain.ordering import order
from wellkeeper_issuer import pki
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.obtain.order import Terms
from wellkeeper_issuer.obtain.request import Requests
from wellkeeper_issuer.outside.state.attempts import SqliteAttempts
from wellkeeper_node import public_keys
from wellkeeper_node.model import KeyType, Pair

A, B = dns("a.example"), dns("b.example")
LINEAGE = Lineage("web", (A,))
REUSING = replace(LINEAGE, reuses_key=True)
WITH_CSR = replace(LINEAGE, csr_path="/etc/web.csr")
CA = FakeCa()


class FakeCsrFiles:
    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    async def read_csr(self, path: str) -> bytes:
        return self.files[path]


class Place:
    """What is on disk, and requests made from it."""

    def __init__(self) -> None:
        self.certificates = FakeCertificates()
        self.csr_files = FakeCsrFiles()
        self.requests = Requests(self.certificates, self.csr_files)

    async def install(self, pair: Pair) -> None:
        await self.certificates.switch("web", await self.certificates.write("web", pair))

    async def key(self, lineage: Lineage) -> bytes:
        """The key of a request, whose CSR is proven to be for it; empty when it is to be new."""
        made = await self.requests.request(lineage, "thumbprint")
        if made is None:
            return b""
        key_pem, csr_der = made
        pki.check_chain(CA.chain(key_pem, *lineage.identifiers), csr_der, lineage.identifiers, NOW)
        return key_pem


@pytest.fixture
def place() -> Place:
    return Place()


async def test_key_is_new_unless_the_settings_say_otherwise(place: Place) -> None:
    await place.install(CA.pair(A))
    assert not await place.key(LINEAGE)


async def test_live_key_is_used_again_when_the_settings_say_so(place: Place) -> None:
    pair = CA.pair(A)
    await place.install(pair)
    assert await place.key(REUSING) == pair.certificate_key_pem
    assert await place.key(replace(REUSING, identifiers=(A, B))) == pair.certificate_key_pem


async def test_other_key_type_means_a_new_key(place: Place) -> None:
    pair = CA.pair(A)
    await place.install(pair)
    assert not await place.key(replace(REUSING, key_type=KeyType.ECDSA_P384))


async def test_first_key_is_new_and_a_placeholder_s_is_none_to_keep(place: Place) -> None:
    assert not await place.key(REUSING)
    await place.install(pki.make_self_signed([A], 7, NOW))
    assert not await place.key(REUSING)


async def test_key_that_stayed_elsewhere_cannot_be_used_again(place: Place) -> None:
    await place.install(replace(CA.pair(A), certificate_key_pem=b""))
    assert not await place.key(REUSING)


async def test_compromised_key_is_never_used_again(place: Place) -> None:
    pair = CA.pair(A)
    await place.install(pair)
    await place.certificates.disown_key("web")
    await place.install(Pair(pair.certificate_key_pem, CA.chain(pair.certificate_key_pem, A)))
    assert not await place.key(REUSING)


async def test_csr_is_used_as_it_is_each_time_and_there_is_no_key(place: Place) -> None:
    csr_der = pki.make_csr(pki.make_certificate_key(KeyType.ECDSA_P256), [A])
    place.csr_files.files["/etc/web.csr"] = csr_der
    for _ in range(2):
        assert await place.requests.request(WITH_CSR, "thumbprint") == (b"", csr_der)


async def test_csr_of_other_names_is_refused(place: Place) -> None:
    place.csr_files.files["/etc/web.csr"] = pki.make_csr(pki.make_certificate_key(KeyType.ECDSA_P256), [B])
    with pytest.raises(
        SettingsError, match=r"the names in /etc/web\.csr differ .*it lacks a\.example and has b\.example"
    ):
        await place.requests.request(WITH_CSR, "thumbprint")


async def test_csr_of_a_compromised_key_is_refused(place: Place) -> None:
    pair = CA.pair(A)
    await place.install(Pair(b"", pair.chain_pem))
    await place.certificates.disown_key("web")
    place.csr_files.files["/etc/web.csr"] = pki.make_csr(pair.certificate_key_pem, [A])
    with pytest.raises(SettingsError, match=r"revoked as compromised\. Make a new key and a new CSR"):
        await place.requests.request(WITH_CSR, "thumbprint")


async def test_order_takes_the_csr_and_records_no_key(place: Place, attempts: SqliteAttempts, clock: FakeClock) -> None:
    csr_der = pki.make_csr(pki.make_certificate_key(KeyType.ECDSA_P256), [A])
    place.csr_files.files["/etc/web.csr"] = csr_der
    ca, terms = FakeAuthority(clock), Terms(request=place.requests.request)
    attempt, _ = await order(WITH_CSR, ca, attempts, terms)
    assert (attempt.certificate_key_pem, attempt.csr_der) == (b"", csr_der)
    assert (await order(WITH_CSR, ca, attempts, terms))[0].csr_der == csr_der
    assert ca.calls.count("newOrder") == 1


async def test_order_under_way_is_left_when_the_key_is_to_be_elsewhere(
    place: Place, attempts: SqliteAttempts, clock: FakeClock
) -> None:
    place.csr_files.files["/etc/web.csr"] = pki.make_csr(pki.make_certificate_key(KeyType.ECDSA_P256), [A])
    ca, terms = FakeAuthority(clock), Terms(request=place.requests.request)
    await order(LINEAGE, ca, attempts, terms)
    attempt, _ = await order(WITH_CSR, ca, attempts, terms)
    assert not attempt.certificate_key_pem
    assert ca.calls.count("newOrder") == 2


async def test_account_key_of_the_ca_that_is_asked_is_refused(place: Place) -> None:
    key_pem = pki.make_certificate_key(KeyType.ECDSA_P256)
    csr_der = pki.make_csr(key_pem, [A])
    place.csr_files.files["/etc/web.csr"] = csr_der
    thumbprint = public_keys.thumbprint(load_pem_private_key(key_pem, None).public_key()) or ""
    with pytest.raises(SettingsError, match="its key is an account key"):
        await place.requests.request(WITH_CSR, thumbprint)
