"""request: a new key, the live one, or the administrator's CSR."""

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
from wellkeeper_node.certificates.placeholders import make_self_signed
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


class Disk:
    """Files on disk, and requests made from them."""

    def __init__(self) -> None:
        self.certificates = FakeCertificates()
        self.csr_files = FakeCsrFiles()
        self.requests = Requests(self.certificates, self.csr_files)

    async def install(self, pair: Pair) -> None:
        await self.certificates.switch("web", await self.certificates.write("web", pair))

    async def key(self, lineage: Lineage) -> bytes:
        """Return the key of a request after checking its CSR; empty when the request makes a new key."""
        made = await self.requests.request(lineage, "thumbprint")
        if made is None:
            return b""
        key_pem, csr_der = made
        pki.check_chain(CA.chain(key_pem, *lineage.identifiers), csr_der, lineage.identifiers, NOW)
        return key_pem


@pytest.fixture
def disk() -> Disk:
    return Disk()


async def test_key_is_new_unless_the_settings_say_otherwise(disk: Disk) -> None:
    await disk.install(CA.pair(A))
    assert not await disk.key(LINEAGE)


async def test_live_key_is_reused_when_the_settings_say_so(disk: Disk) -> None:
    pair = CA.pair(A)
    await disk.install(pair)
    assert await disk.key(REUSING) == pair.certificate_key_pem
    assert await disk.key(replace(REUSING, identifiers=(A, B))) == pair.certificate_key_pem


async def test_changed_key_type_makes_a_new_key(disk: Disk) -> None:
    pair = CA.pair(A)
    await disk.install(pair)
    assert not await disk.key(replace(REUSING, key_type=KeyType.ECDSA_P384))


async def test_first_key_is_new_and_the_key_of_a_placeholder_is_not_reused(disk: Disk) -> None:
    assert not await disk.key(REUSING)
    await disk.install(make_self_signed([A], 7, NOW))
    assert not await disk.key(REUSING)


async def test_key_kept_elsewhere_cannot_be_reused(disk: Disk) -> None:
    await disk.install(replace(CA.pair(A), certificate_key_pem=b""))
    assert not await disk.key(REUSING)


async def test_compromised_key_is_never_reused(disk: Disk) -> None:
    pair = CA.pair(A)
    await disk.install(pair)
    await disk.certificates.disown_key("web")
    await disk.install(Pair(pair.certificate_key_pem, CA.chain(pair.certificate_key_pem, A)))
    assert not await disk.key(REUSING)


async def test_csr_is_used_unchanged_each_time_without_a_key(disk: Disk) -> None:
    csr_der = pki.make_csr(pki.make_certificate_key(KeyType.ECDSA_P256), [A])
    disk.csr_files.files["/etc/web.csr"] = csr_der
    for _ in range(2):
        assert await disk.requests.request(WITH_CSR, "thumbprint") == (b"", csr_der)


async def test_csr_for_other_names_is_refused(disk: Disk) -> None:
    disk.csr_files.files["/etc/web.csr"] = pki.make_csr(pki.make_certificate_key(KeyType.ECDSA_P256), [B])
    with pytest.raises(
        SettingsError, match=r"the names in /etc/web\.csr differ .*it lacks a\.example and has b\.example"
    ):
        await disk.requests.request(WITH_CSR, "thumbprint")


async def test_csr_of_a_compromised_key_is_refused(disk: Disk) -> None:
    pair = CA.pair(A)
    await disk.install(Pair(b"", pair.chain_pem))
    await disk.certificates.disown_key("web")
    disk.csr_files.files["/etc/web.csr"] = pki.make_csr(pair.certificate_key_pem, [A])
    with pytest.raises(SettingsError, match=r"revoked as compromised\. Make a new key and a new CSR"):
        await disk.requests.request(WITH_CSR, "thumbprint")


async def test_order_uses_the_csr_and_records_no_key(disk: Disk, attempts: SqliteAttempts, clock: FakeClock) -> None:
    csr_der = pki.make_csr(pki.make_certificate_key(KeyType.ECDSA_P256), [A])
    disk.csr_files.files["/etc/web.csr"] = csr_der
    ca, terms = FakeAuthority(clock), Terms(request=disk.requests.request)
    attempt, _ = await order(WITH_CSR, ca, attempts, terms)
    assert (attempt.certificate_key_pem, attempt.csr_der) == (b"", csr_der)
    assert (await order(WITH_CSR, ca, attempts, terms))[0].csr_der == csr_der
    assert ca.calls.count("newOrder") == 1


async def test_order_in_progress_is_abandoned_when_a_csr_is_configured(
    disk: Disk, attempts: SqliteAttempts, clock: FakeClock
) -> None:
    disk.csr_files.files["/etc/web.csr"] = pki.make_csr(pki.make_certificate_key(KeyType.ECDSA_P256), [A])
    ca, terms = FakeAuthority(clock), Terms(request=disk.requests.request)
    await order(LINEAGE, ca, attempts, terms)
    attempt, _ = await order(WITH_CSR, ca, attempts, terms)
    assert not attempt.certificate_key_pem
    assert ca.calls.count("newOrder") == 2


async def test_csr_with_the_cas_account_key_is_refused(disk: Disk) -> None:
    key_pem = pki.make_certificate_key(KeyType.ECDSA_P256)
    csr_der = pki.make_csr(key_pem, [A])
    disk.csr_files.files["/etc/web.csr"] = csr_der
    thumbprint = public_keys.thumbprint(load_pem_private_key(key_pem, None).public_key()) or ""
    with pytest.raises(SettingsError, match="its key is an account key"):
        await disk.requests.request(WITH_CSR, thumbprint)
