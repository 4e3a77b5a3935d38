"""Renewal infos of a real CA: Pebble's suggestions, staged suggestions, and revocations."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from acme import client, crypto_util, messages
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from stand.certificates import make_server_certificate
from stand.challtestsrv import Challtestsrv
from stand.pebble import OLDEST, Pebble, PebbleSettings
from tests.opened_cas import opened_server
from wellkeeper_issuer import pki
from wellkeeper_issuer.obtain.due import plan, replan
from wellkeeper_issuer.outside.ca.options import CaOptions
from wellkeeper_issuer.outside.ca.renewal_info import AcmeRenewalInfos
from wellkeeper_issuer.records import NoRenewalInfo, Origin, RenewalInfo, Rule
from wellkeeper_node.certificates import reading
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.model import Certificate, Installed, KeyType

pytestmark = pytest.mark.integration

NAME: Final = "www.example.org"
NOW: Final = datetime.now(UTC).replace(microsecond=0)
HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate from Pebble, with the CA and the account that can revoke it."""

    ca: Pebble
    account: client.ClientV2
    chain_pem: str

    @property
    def certificate(self) -> Certificate:
        return reading.read_certificate(self.chain_pem.encode())

    async def revoke(self) -> None:
        leaf = x509.load_pem_x509_certificate(self.chain_pem.encode())
        await asyncio.to_thread(self.account.revoke, leaf, 4)

    async def suggest(self, start: str, end: str, **more: str) -> None:
        await self.ca.set_renewal_info(self.chain_pem, {"suggestedWindow": {"start": start, "end": end}, **more})


@pytest.fixture
async def issued(folder: Path, dns: Challtestsrv, http_port: int) -> AsyncIterator[Issued]:
    """Issue without validation and without rejected nonces, because the client below does not repeat requests."""
    environment = {"PEBBLE_VA_ALWAYS_VALID": "1"}
    settings = PebbleSettings(dns.address, http_port, nonces_rejected_percent=0, environment=environment)
    async with Pebble(folder, settings) as ca:
        yield await asyncio.to_thread(_issue, ca)


def _issue(ca: Pebble) -> Issued:
    key = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
    verify: Any = str(ca.ca_bundle)
    network = client.ClientNetwork(key, alg=ES256, verify_ssl=verify, user_agent="test")
    account = client.ClientV2(client.ClientV2.get_directory(ca.directory_url, network), network)
    account.new_account(messages.NewRegistration.from_data(terms_of_service_agreed=True))
    csr = crypto_util.make_csr(pki.make_certificate_key(KeyType.ECDSA_P256), [NAME])
    order = account.new_order(csr, profile="default")
    for authorization in order.authorizations:
        for challenge in authorization.body.challenges:
            if challenge.typ == "http-01":
                account.answer_challenge(challenge, challenge.response(key))
    return Issued(ca, account, account.poll_and_finalize(order).fullchain_pem)


async def ask(issued: Issued, certificate_id: str | None = None) -> RenewalInfo | NoRenewalInfo | None:
    async with infos_of(issued.ca) as infos:
        return await infos.ask(issued.ca.directory_url, certificate_id or str(issued.certificate.certificate_id))


@asynccontextmanager
async def infos_of(ca: Pebble, bundle: Path | None = None) -> AsyncIterator[AcmeRenewalInfos]:
    """Ask with the roots of `bundle`, or with those of the CA."""
    options = CaOptions("pebble", ca.directory_url, bundle=str(bundle or ca.ca_bundle))
    async with opened_server(options, SystemClock()) as server:
        yield AcmeRenewalInfos(lambda _: server, SystemClock())


def schedule_after(issued: Issued, answer: RenewalInfo | NoRenewalInfo | None, choose: Callable[[], float]) -> Any:  # noqa: ANN401
    installed = Installed("web", "v1", issued.certificate)
    made = plan(installed, Origin(issued.ca.directory_url, ""), NOW, choose)
    return made, replan(made, answer, NOW, choose)


async def test_new_certificate_is_known_by_our_certificate_id(issued: Issued) -> None:
    answer = await ask(issued)
    assert isinstance(answer, RenewalInfo)
    certificate = issued.certificate
    assert certificate.not_before < answer.window.start < answer.window.end < certificate.not_after
    assert answer.retry_after_seconds is not None
    made, after = schedule_after(issued, answer, lambda: 0.5)
    assert after.rule is Rule.ARI
    assert answer.window.start < after.renew_at < answer.window.end
    assert after.ask_at > made.ask_at


async def test_window_in_the_past_means_now(issued: Issued) -> None:
    start, end = NOW - 3 * HOUR, NOW - HOUR
    await issued.suggest(start.isoformat(), end.isoformat(), explanationURL="https://ca.example/incident")
    answer = await ask(issued)
    assert isinstance(answer, RenewalInfo)
    assert (answer.window.start, answer.window.end) == (start, end)
    assert answer.explanation_url == "https://ca.example/incident"
    _, after = schedule_after(issued, answer, lambda: 1.0)
    assert after.renew_at <= NOW


async def test_future_window_is_waited_for_until_the_last_part_of_the_lifetime(issued: Issued) -> None:
    near = (NOW + 10 * HOUR, NOW + 20 * HOUR)
    await issued.suggest(near[0].isoformat(), near[1].isoformat())
    _, after = schedule_after(issued, await ask(issued), lambda: 0.3)
    assert after.renew_at == NOW + 13 * HOUR
    far = (NOW + timedelta(days=300), NOW + timedelta(days=301))
    await issued.suggest(far[0].isoformat(), far[1].isoformat())
    _, after = schedule_after(issued, await ask(issued), lambda: 0.3)
    left = issued.certificate.not_after - after.renew_at
    assert abs(left - issued.certificate.lifetime / 20) < timedelta(seconds=1)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("2030-01-02T00:00:00Z", "2030-01-01T00:00:00Z", "its window ends at 2030-01-01"),
        ("2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z", "its window ends at 2030-01-01"),
    ],
    ids=["inverted", "empty"],
)
async def test_invalid_window_changes_nothing(issued: Issued, start: str, end: str, words: str) -> None:
    await issued.suggest(start, end)
    answer = await ask(issued)
    assert isinstance(answer, NoRenewalInfo)
    assert words in answer.reason
    made, after = schedule_after(issued, answer, lambda: 0.5)
    assert (after.renew_at, after.rule) == (made.renew_at, Rule.LIFETIME)
    assert after.ask_at == NOW + 6 * HOUR


@pytest.mark.parametrize("response", [{}, {"suggestedWindow": 5}, {"suggestedWindow": {"start": "soon"}}, []])
async def test_malformed_info_changes_nothing(issued: Issued, response: Any) -> None:  # noqa: ANN401
    await issued.ca.set_renewal_info(issued.chain_pem, response)
    answer = await ask(issued)
    assert isinstance(answer, NoRenewalInfo)
    assert not answer.is_passing
    made, after = schedule_after(issued, answer, lambda: 0.5)
    assert after.renew_at == made.renew_at


async def test_revoked_certificate_is_replaced_now(issued: Issued) -> None:
    await issued.revoke()
    answer = await ask(issued)
    assert isinstance(answer, RenewalInfo)
    assert answer.window.end <= datetime.now(UTC)


async def test_certificate_unknown_to_the_ca_has_no_renewal_info(issued: Issued) -> None:
    answer = await ask(issued, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE")
    assert isinstance(answer, NoRenewalInfo)
    assert "answered HTTP 4" in answer.reason


async def test_old_ca_has_no_renewal_info(folder: Path, dns: Challtestsrv, http_port: int) -> None:
    async with Pebble(folder, PebbleSettings(dns.address, http_port, programs=OLDEST)) as ca, infos_of(ca) as infos:
        assert await infos.ask(ca.directory_url, "a.b") is None


async def test_untrusted_ca_is_not_believed(issued: Issued, folder: Path) -> None:
    other = make_server_certificate(folder / "other", ("localhost",))
    async with infos_of(issued.ca, other.ca_bundle) as infos:
        answer = await infos.ask(issued.ca.directory_url, str(issued.certificate.certificate_id))
    assert isinstance(answer, NoRenewalInfo)
    assert "certificate verify failed" in answer.reason
