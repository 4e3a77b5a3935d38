"""Choice of the chain: the preferred one by the name of its root, the CA's default otherwise."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.fakes import FakeClock
from tests.fakes_acme import AcmeServer, Canned, problem
from tests.issuer.outside.conftest import authority
from wellkeeper_issuer.model import Order, Status
from wellkeeper_issuer.outside.ca.authority import AcmeAuthority
from wellkeeper_issuer.outside.ca.chains import alternate_urls, root_name
from wellkeeper_issuer.outside.keys.accounts import AccountFolder

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def certificate(subject: str, issued_by: str) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (issued_by, subject)]
    made = x509.CertificateBuilder(names[0], names[1], key.public_key(), 7, BEGIN, BEGIN + timedelta(days=1))
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def chain(root: str) -> str:
    return certificate("a.example", "Intermediate") + certificate("Intermediate", root)


CHAINS = {"/certificate": chain("Root A"), "/certificate/1": chain("Root B"), "/certificate/2": chain("Root C")}


@pytest.fixture
async def ca(server: AcmeServer, accounts: AccountFolder, clock: FakeClock) -> AsyncIterator[AcmeAuthority]:
    media = {"Content-Type": "application/pem-certificate-chain"}
    links = ", ".join(f'<{server.url(f"/certificate/{number}")}>;rel="alternate"' for number in (1, 2))
    link = {"Link": f'<{server.url("/directory")}>;rel="index", {links}'}
    for path, text in CHAINS.items():
        server.answers[path] = Canned(200, text, media | (link if path == "/certificate" else {}))
    async with authority(server.directory_url, accounts, clock, preferred_chain="Root C") as made:
        yield made


def valid(server: AcmeServer) -> Order:
    return Order(server.url("/order/1"), Status.VALID, (), server.url("/finalize"), server.url("/certificate"))


def downloads(server: AcmeServer) -> list[str]:
    return [path for path in server.paths() if path.startswith("/certificate")]


async def test_preferred_chain_is_found_among_the_alternates(ca: AcmeAuthority, server: AcmeServer) -> None:
    assert (await ca.read_chain(valid(server))).decode() == CHAINS["/certificate/2"]
    assert downloads(server) == ["/certificate", "/certificate/1", "/certificate/2"]


async def test_alternates_are_not_downloaded_when_the_default_is_preferred(
    ca: AcmeAuthority, server: AcmeServer
) -> None:
    server.answers["/certificate"] = Canned(200, CHAINS["/certificate/2"], server.answers["/certificate"].headers)
    assert (await ca.read_chain(valid(server))).decode() == CHAINS["/certificate/2"]
    assert downloads(server) == ["/certificate"]


async def test_default_is_used_with_a_warning_without_the_preferred_root(
    ca: AcmeAuthority, server: AcmeServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers["/certificate/2"] = problem(404, "malformed")
    assert (await ca.read_chain(valid(server))).decode() == CHAINS["/certificate"]
    passed_over, not_found = caplog.messages
    assert "ignoring an alternate chain of the CA a CA: the CA a CA refused the request for certificate" in passed_over
    assert not_found == (
        "the CA a CA has no chain with 'Root C' (preferred_chain), using its default chain;"
        " it offers 'Root A', 'Root B'"
    )


def test_every_alternate_link_is_tried() -> None:
    text = '<https://a/1>;rel="alternate", <https://a/d>;rel="index", <https://a/2>; rel=alternate'
    links = (text, '<https://a/3>;title="x";rel="alternate"')
    assert alternate_urls(links) == ("https://a/1", "https://a/2", "https://a/3")
    assert alternate_urls(()) == ()


@pytest.mark.parametrize("text", ["", "not PEM", "-----BEGIN CERTIFICATE-----\nx"])
def test_invalid_chain_has_no_root(text: str) -> None:
    assert root_name(text.encode()) is None


def test_at_most_ten_alternate_links_are_tried() -> None:
    assert len(alternate_urls(['<https://a/1>;rel="alternate"'] * 3_000)) == 10
