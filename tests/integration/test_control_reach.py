"""Access to the control listener and to published tokens, with the real snippet and without it."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from stand.host import Host, running_host
from tests.integration.observed import reconfigure, tokens
from tests.responder.http import Reply, ask
from tests.responder.messages import THUMBPRINT, TOKEN, claims, header, publication, signed
from wellkeeper_client import trust_file, wire
from wellkeeper_client.signing import key_id, sign_publication
from wellkeeper_responder.settings import Address, TcpAddress, UnixAddress

pytestmark = pytest.mark.integration

# A location without the captured token, which passes the whole path on.
BARE: Final = "proxy_pass http://wellkeeper_responder;"
PATHS: Final = (
    wire.TOKENS_PREFIX + TOKEN,
    f"{wire.TOKENS_PREFIX}..%2f.well-known%2facme-challenge%2f{TOKEN}",
    f"{wire.CHALLENGE_PREFIX}..%2f..%2fv1%2ftokens%2f{TOKEN}",
    f"{wire.CHALLENGE_PREFIX}../../v1/tokens/{TOKEN}",
    f"//v1//tokens//{TOKEN}",
    f"/v1/tokens%2f{TOKEN}",
    f"http://control{wire.TOKENS_PREFIX}{TOKEN}",
    wire.STATUS_PATH,
    f"{wire.FETCHES_PATH}?after=0",
    wire.METRICS_PATH,
    wire.HEALTH_PATH,
)


@pytest.fixture
async def host(folder: Path) -> AsyncIterator[Host]:
    async with running_host(folder, {"web": ["www.example.org"]}) as running:
        yield running


def publishing_key(host: Host) -> Ed25519PrivateKey:
    key = load_pem_private_key((host.issuer.state_dir / "publishing_key.pem").read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return key


def own_thumbprint(host: Host) -> str:
    (thumbprint,) = trust_file.read(host.issuer.trust_path).account_thumbprints
    return thumbprint


async def put(address: Address, path: str, message: bytes | str) -> Reply:
    return await ask(address, "PUT", path, {"Content-Type": wire.MESSAGE_MEDIA_TYPE}, message)


async def message(host: Host, *, thumbprint: str | None = None) -> str:
    """Return a publication that control accepts unless the thumbprint is foreign."""
    whole = replace(publication(TOKEN, issued_at=int(time.time())), thumbprint=thumbprint or own_thumbprint(host))
    return sign_publication(whole, publishing_key(host))


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
async def test_no_path_leads_from_the_public_side_to_control(host: Host, method: str) -> None:
    """Try the public socket, the snippet, and a bare proxy_pass to the same upstream."""
    good, public, nginx = await message(host), UnixAddress(host.responder.public_socket), TcpAddress(*host.http)
    unchanged = replace(host.nginx.settings, location="return 404;")
    found = {}
    for through, address, location in (
        ("socket", public, "return 404;"),
        ("snippet", nginx, "return 404;"),
        ("bare", nginx, BARE),
    ):
        await reconfigure(host.nginx, replace(unchanged, location=location))
        for path in PATHS:
            reply = await ask(address, method, path, {"Content-Type": wire.MESSAGE_MEDIA_TYPE}, good)
            found[through, path] = reply.status
    assert {asked: status for asked, status in found.items() if status not in {400, 403, 404, 405}} == {}
    assert await tokens(host.responder) == 0
    assert (await put(UnixAddress(host.responder.control_socket), wire.TOKENS_PREFIX + TOKEN, good)).status == 201


async def test_foreign_thumbprint_is_never_accepted_or_served(host: Host) -> None:
    control = UnixAddress(host.responder.control_socket)
    refused = await put(control, wire.TOKENS_PREFIX + TOKEN, await message(host, thumbprint=THUMBPRINT))
    assert (refused.status, refused.json()["type"]) == (403, f"{wire.PROBLEM_PREFIX}not-pinned")
    assert (await ask(TcpAddress(*host.http), "GET", wire.CHALLENGE_PREFIX + TOKEN)).status == 404


async def test_publication_with_a_foreign_key_is_never_accepted_or_served(host: Host) -> None:
    """Sign with a foreign key, under its own key id and under ours."""
    control, foreign_key = UnixAddress(host.responder.control_socket), Ed25519PrivateKey.generate()
    whole = claims(thumbprint=own_thumbprint(host), iat=int(time.time()), exp=int(time.time()) + 600)
    for key in (foreign_key, publishing_key(host)):
        forged = signed(header(kid=key_id(key.public_key())), whole, foreign_key)
        assert (await put(control, wire.TOKENS_PREFIX + TOKEN, forged)).status == 401
    assert (await ask(TcpAddress(*host.http), "GET", wire.CHALLENGE_PREFIX + TOKEN)).status == 404


async def test_own_publication_is_served_through_nginx(host: Host) -> None:
    """Check the positive case, without which the refusals above would prove nothing."""
    control = UnixAddress(host.responder.control_socket)
    assert (await put(control, wire.TOKENS_PREFIX + TOKEN, await message(host))).status == 201
    reply = await ask(TcpAddress(*host.http), "GET", wire.CHALLENGE_PREFIX + TOKEN)
    assert (reply.status, reply.body.decode()) == (200, f"{TOKEN}.{own_thumbprint(host)}")
