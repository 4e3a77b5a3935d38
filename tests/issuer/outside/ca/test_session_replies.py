"""The report of a session about each exchange."""

import pytest

from tests.fakes_acme import AcmeServer, Canned
from wellkeeper_issuer.outside.ca.session import CaSession


async def test_every_exchange_is_reported_with_its_status_and_duration(server: AcmeServer) -> None:
    server.answers["/gone"] = Canned(404, {})
    server.answers["/moved"] = Canned(302, "", {"Location": server.url("/gone")})
    replies: list[tuple[int | None, bool]] = []
    session = CaSession(
        "wellkeeper/1", allow_http=True, on_reply=lambda status, seconds: replies.append((status, seconds > 0))
    )
    await session.get(server.url("/moved"))
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        await session.get("http://127.0.0.1:1/")
    await session.close()
    assert replies == [(302, True), (404, True), (None, True)]
