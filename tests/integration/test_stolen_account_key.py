"""Attacks at a real CA: with the account key alone, and by a process in place of a responder."""

import asyncio
import itertools
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stand.host import Host, running_host
from tests.fakes_deliver import dns
from tests.opened_cas import opened_ca
from tests.responder.http import ask
from tests.responder.messages import claims, header, signed
from wellkeeper_client import wire
from wellkeeper_client.signing import key_id
from wellkeeper_issuer import pki
from wellkeeper_issuer.model import Authorization, Order, Status
from wellkeeper_issuer.outside.ca.authority import AcmeAuthority
from wellkeeper_issuer.outside.ca.options import CaOptions
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_node.certificates import reading
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.model import KeyType
from wellkeeper_responder.settings import UnixAddress

pytestmark = pytest.mark.integration

NAME = "www.example.org"
_PAUSE_SECONDS = 0.2


@asynccontextmanager
async def thief(host: Host, folder: Path, *, has_account_key: bool) -> AsyncIterator[AcmeAuthority]:
    """Yield the CA as someone sees it who has copied the account key, or has an account of their own."""
    if has_account_key:
        shutil.copytree(host.issuer.state_dir / "accounts", folder / "accounts")
    accounts = AccountFolder(folder, (host.directory_url,), terms_of_service_agreed=True)
    accounts.make_keys()
    options = CaOptions("pebble", host.directory_url, bundle=str(host.ca.ca_bundle))
    async with opened_ca(options, accounts, SystemClock()) as ca:
        yield ca


async def ordered(ca: AcmeAuthority) -> tuple[Order, Authorization]:
    order = await ca.new_order([dns(NAME)], None, None)
    return order, await ca.read_authorization(order.authorization_urls[0])


async def validated(ca: AcmeAuthority, authorization: Authorization) -> Status:
    """Let the CA ask for the token, and return its verdict; the time-out of the test is the limit."""
    assert authorization.challenge is not None
    await ca.answer_challenge(authorization.challenge)
    for _ in itertools.repeat(None):
        found = await ca.read_authorization(authorization.url)
        if found.status is not Status.PENDING:
            return found.status
        await asyncio.sleep(_PAUSE_SECONDS)
    raise AssertionError


async def names_of_certificate(ca: AcmeAuthority, url: str) -> set[str]:
    """Finalize the order with a key of the thief, and return the names in the certificate."""
    csr = pki.make_csr(pki.make_certificate_key(KeyType.ECDSA_P256), [dns(NAME)])
    order = await ca.read_order(url)
    while order is None or order.status is not Status.VALID:
        if order is not None and order.status is Status.READY:
            await ca.finalize(order, csr)
        await asyncio.sleep(_PAUSE_SECONDS)
        order = await ca.read_order(url)
    return {one.value for one in reading.read_certificate(await ca.read_chain(order)).identifiers}


async def test_thief_of_an_account_key_uses_validations_that_the_ca_remembers(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}, authorizations_reused_percent=100) as host:
        await host.issuer.run_well("renew")
        async with thief(host, folder / "thief", has_account_key=True) as ca:
            order, authorization = await ordered(ca)
            assert authorization.status is Status.VALID
            assert await names_of_certificate(ca, order.url) == {NAME}


async def test_thief_of_an_account_key_alone_passes_no_new_validation(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("account", "register")
        async with thief(host, folder / "thief", has_account_key=True) as ca:
            order, authorization = await ordered(ca)
            assert authorization.challenge is not None
            token, key = authorization.challenge.token, AccountFolder(folder / "thief", ()).publishing_key
            now = int(time.time())
            whole = claims(token=token, thumbprint=ca.thumbprint, identifier=NAME, iat=now, exp=now + 600)
            message = signed(header(kid=key_id(key.public_key())), whole, key)
            path, headers = wire.TOKENS_PREFIX + token, {"Content-Type": wire.MESSAGE_MEDIA_TYPE}
            control = UnixAddress(host.responder.control_socket)
            assert (await ask(control, "PUT", path, headers, message)).status == 401
            assert await validated(ca, authorization) is Status.INVALID
            refused = await ca.read_order(order.url)
            assert refused is not None
            assert refused.status is Status.INVALID


async def test_process_in_place_of_the_responder_obtains_certificates_with_an_account_of_its_own(
    folder: Path,
) -> None:
    async with (
        running_host(folder, {"web": [NAME]}) as host,
        thief(host, folder / "thief", has_account_key=False) as ca,
        answering(host.responder.public_socket, ca.thumbprint),
    ):
        order, authorization = await ordered(ca)
        assert await validated(ca, authorization) is Status.VALID
        assert await names_of_certificate(ca, order.url) == {NAME}


@asynccontextmanager
async def answering(path: Path, thumbprint: str) -> AsyncIterator[None]:
    """Replace the socket with a server that answers any token for this account."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        body = f"{asked.removeprefix(wire.CHALLENGE_PREFIX)}.{thumbprint}"
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write((head + body).encode())
        writer.close()

    async with await asyncio.start_unix_server(answer, path.with_suffix(".thief")):
        put_in_place(path.with_suffix(".thief"), path)
        yield


def put_in_place(socket: Path, path: Path) -> None:
    socket.chmod(0o666)
    socket.replace(path)
