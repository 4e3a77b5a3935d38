"""Certificate keys that are not new each time: the administrator's CSR, and reuse_key."""

from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from stand.host import Host, running_host
from stand.issuer import Finished
from tests.integration.observed import asked, error_of, installed, orders, outcomes, served
from wellkeeper_issuer import pki
from wellkeeper_node import public_keys
from wellkeeper_node.certificates import reading
from wellkeeper_node.model import Identifier, IdentifierType, KeyType

pytestmark = pytest.mark.integration

NAME: Final = "www.example.org"
IDENTIFIER: Final = Identifier(IdentifierType.DNS, NAME)


def add(host: Host, line: str) -> None:
    """Add a line to the only certificate, which is the last table."""
    text = host.issuer.config_path.read_text()
    lines = [one for one in text.splitlines() if not (line.startswith("csr") and one.startswith("key_type"))]
    host.issuer.config_path.write_text("\n".join([*lines, line]))


def live_key(host: Host) -> bytes:
    return (host.issuer.live("web") / "privkey.pem").read_bytes()


def write_csr(path: Path, key_pem: bytes) -> None:
    csr = x509.load_der_x509_csr(pki.make_csr(key_pem, [IDENTIFIER]))
    path.write_bytes(csr.public_bytes(Encoding.PEM))


async def renew(host: Host) -> Finished:
    return await host.issuer.run("renew", "--force", "--json")


async def test_certificate_of_a_csr_is_installed_without_a_key(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        key, csr = folder / "own.key", folder / "own.csr"
        key.write_bytes(pki.make_certificate_key(KeyType.ECDSA_P256))
        write_csr(csr, key.read_bytes())
        add(host, f"csr = '{csr}'")
        # nginx gets the path of the key once; its certificate comes with the next reload.
        config = host.nginx.config_path
        config.write_text(config.read_text().replace(f"{host.issuer.live('web')}/privkey.pem", str(key)))
        for count in (1, 2):
            finished = await renew(host)
            assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
            assert await served(host, NAME) == installed(host.issuer, "web")
            found = sorted(path.name for path in host.issuer.live("web").iterdir())
            assert found == ["cert.pem", "chain.pem", "fullchain.pem", "privkey-is-elsewhere"]
            chain = (host.issuer.live("web") / "fullchain.pem").read_bytes()
            assert reading.certificate_key_matches(chain, key.read_bytes())
            assert orders(host.ca) == count
        finished = await host.issuer.run("renew", "--json")
        assert outcomes(finished) == {"web": "unchanged"}


async def test_wrong_csr_is_reported_before_the_ca_is_asked(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME, "example.org"]}) as host:
        csr = folder / "own.csr"
        write_csr(csr, pki.make_certificate_key(KeyType.ECDSA_P256))
        add(host, f"csr = '{csr}'")
        finished = await renew(host)
        assert finished.exit_code == 1, finished
        assert f"the names in {csr} differ from the settings: it lacks example.org" in error_of(finished, "web")
        assert asked(host.ca, "/order-plz") == 0


async def test_key_is_reused_until_its_type_changes(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        add(host, "reuse_key = true")
        keys = []
        for _ in range(3):
            assert (await renew(host)).exit_code == 0
            keys.append(live_key(host))
        assert len(set(keys)) == 1
        text = host.issuer.config_path.read_text()
        host.issuer.config_path.write_text(text.replace("ecdsa-p256", "ecdsa-p384"))
        assert (await renew(host)).exit_code == 0
        assert public_keys.certificate_key_kind(live_key(host)) is KeyType.ECDSA_P384


async def test_compromised_key_is_not_reused(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        add(host, "reuse_key = true")
        assert (await renew(host)).exit_code == 0
        before = live_key(host)
        await host.issuer.run_well("revoke", "web", "--reason", "keyCompromise")
        finished = await host.issuer.run("renew", "--json")
        assert outcomes(finished) == {"web": "served"}, finished
        assert live_key(host) != before
