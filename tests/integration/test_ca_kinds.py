"""CAs of two versions, with and without reused authorizations, with half of the nonces rejected; RSA and ECDSA."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from stand.host import Host, running_host
from stand.pebble import NEWEST, OLDEST
from tests.integration.observed import asked, fetches, installed, issued, orders, outcomes, served, tokens

pytestmark = pytest.mark.integration

NAME: Final = "www.example.org"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of CA; `key` is the expected result of `key_type`."""

    programs: Path
    reused_percent: int
    key_type: str
    key: str


def key_of(host: Host) -> str:
    leaf = x509.load_pem_x509_certificate((host.issuer.live("web") / "cert.pem").read_bytes())
    key = leaf.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key.curve.name


@pytest.mark.parametrize(
    "kind",
    [
        Kind(NEWEST, 0, "rsa-2048", "RSA 2048"),
        Kind(NEWEST, 100, "ecdsa-p384", "secp384r1"),
        Kind(OLDEST, 0, "ecdsa-p256", "secp256r1"),
        Kind(OLDEST, 100, "rsa-3072", "RSA 3072"),
        Kind(NEWEST, 100, "rsa-4096", "RSA 4096"),
    ],
    ids=lambda kind: f"{kind.programs.parent.parent.name}, {kind.reused_percent} % used again, {kind.key_type}",
)
async def test_first_and_second_certificate_are_served(folder: Path, kind: Kind) -> None:
    of_the_ca: dict[str, Any] = {"programs": kind.programs, "authorizations_reused_percent": kind.reused_percent}
    async with running_host(folder, {"web": [NAME]}, **of_the_ca) as host:
        host.issuer.configure(replace(host.issuer_settings, key_type=kind.key_type))
        fetched, validated = [], []
        for _ in range(2):
            finished = await host.issuer.run("renew", "--force")
            assert finished.exit_code == 0, finished
            assert await served(host, NAME) == installed(host.issuer, "web")
            assert key_of(host) == kind.key
            fetched.append(len(await fetches(host.responder)))
            validated.append(asked(host.ca, "/chalZ/"))
        assert await tokens(host.responder) == 0
        assert (orders(host.ca), issued(host.ca)) == (2, 2)
        # Valid authorizations are neither published nor fetched again.
        assert fetched[0] > 0
        # Pebble draws from 0 to 99 and reuses unless the number is greater: even 0 % reuses once in a hundred times.
        assert (fetched[1] == fetched[0]) == (validated[1] == validated[0])
        assert kind.reused_percent == 0 or fetched[1] == fetched[0]


async def test_all_twenty_certificates_are_issued_with_half_of_the_nonces_rejected(folder: Path) -> None:
    """Issue twenty certificates in one pass; each needs at least eight requests."""
    certificates = {f"site-{number}": [f"site-{number}.example.org"] for number in range(20)}
    async with running_host(folder, certificates, nonces_rejected_percent=50) as host:
        finished = await host.issuer.run("renew", "--json")
        assert finished.exit_code == 0, finished
        assert outcomes(finished) == dict.fromkeys(certificates, "served")
        assert (orders(host.ca), issued(host.ca)) == (20, 20)
        assert await tokens(host.responder) == 0
        assert asked(host.ca, "/order-plz") > 20
