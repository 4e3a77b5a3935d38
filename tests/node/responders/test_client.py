"""One responder over HTTP: a real one over TCP, and servers that are not a responder."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.node.names import Names
from tests.responder.messages import KEY, OTHER_KEY, THUMBPRINT, TOKEN, TRUST, publication
from tests.unprivileged import as_unprivileged_user, shared_folder
from wellkeeper_client.signing import sign_publication
from wellkeeper_node.errors import PublishError
from wellkeeper_node.responders.client import Fetches, ResponderClient
from wellkeeper_responder.app import Responder
from wellkeeper_responder.settings import Settings, TcpAddress, UnixAddress


@asynccontextmanager
async def over_tcp(folder: Path, clock: FakeClock, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Yield a responder's control address."""
    settings = Settings(TRUST, (UnixAddress(folder / "public.sock"),), (TcpAddress(host, 0),))
    async with Responder(settings, clock) as responder:
        yield str(responder.control_addresses[0])


@asynccontextmanager
async def client(address: str, clock: FakeClock) -> AsyncIterator[ResponderClient]:
    one = ResponderClient("n1", address, KEY, clock)
    try:
        yield one
    finally:
        await one.close()


@asynccontextmanager
async def answering(folder: Path, answer: str, clock: FakeClock) -> AsyncIterator[ResponderClient]:
    """Yield a client of a server that answers every request with the same bytes and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer.encode())
        writer.close()

    server = await asyncio.start_unix_server(serve, folder / "other.sock")
    async with client(f"unix:{folder}/other.sock", clock) as one:
        yield one
    server.close()
    await server.wait_closed()


def http(status: str, body: str, *headers: str) -> str:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines) + "\r\n\r\n" + body


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_reads_over_tcp_send_a_permit(folder: Path, clock: FakeClock, host: str) -> None:
    async with over_tcp(folder, clock, host) as address, client(address, clock) as one:
        status = await one.status()
        assert status["account_thumbprints"] == [THUMBPRINT]
        assert await one.fetches(0, wait_seconds=0) == Fetches(status["instance_id"], 0, False, ())


async def test_permit_of_a_foreign_key_is_refused_with_the_responders_detail(folder: Path, clock: FakeClock) -> None:
    async with over_tcp(folder, clock) as address:
        foreign = ResponderClient("n1", address, OTHER_KEY, clock)
        with pytest.raises(PublishError, match=r"node 'n1' \(127\.0\.0\.1:\d+\) refused with HTTP 401: .*key"):
            await foreign.status()
        await foreign.close()


async def test_unreachable_responder_is_an_error(clock: FakeClock) -> None:
    async with client("127.0.0.1:1", clock) as one:
        with pytest.raises(
            PublishError, match=r"cannot reach the responder of node 'n1' \(127\.0\.0\.1:1\): .*--control address"
        ):
            await one.put(TOKEN, "message")


@pytest.mark.parametrize(
    ("seconds", "words"), [(86_400, "86400 s ahead of the issuer's"), (-7200, "7200 s behind the issuer's")]
)
async def test_clock_difference_is_reported(folder: Path, clock: FakeClock, seconds: int, words: str) -> None:
    async with over_tcp(folder, clock) as address, client(address, FakeClock()) as one:
        clock.step(seconds)
        with pytest.raises(
            PublishError, match=rf"HTTP 401: .*Synchronize the clocks by NTP: the responder's is {words}"
        ):
            await one.status()


async def test_small_clock_difference_is_warned_about_once(
    folder: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    now = int(clock.now().timestamp())
    async with over_tcp(folder, clock) as address, client(address, clock) as one:
        for jti in ("a" * 16, "b" * 16):
            message = sign_publication(replace(publication(TOKEN, issued_at=now - 120), jti=jti), KEY)
            await one.put(TOKEN, message)
    assert [record.levelname for record in caplog.records if "'n1'" in record.message] == ["WARNING"]
    assert "120 s" in caplog.text


@pytest.mark.parametrize(
    "answer",
    [
        http("200 OK", "<html>welcome</html>", "Content-Type: text/html"),
        http("201 Created", "[]", "Content-Type: application/json"),
        http("204 No Content", ""),
    ],
    ids=["page", "list", "nothing"],
)
async def test_success_from_another_server_is_an_error(folder: Path, clock: FakeClock, answer: str) -> None:
    async with answering(folder, answer, clock) as one:
        with pytest.raises(PublishError, match=r"is not a wellkeeper-responder: .*this is the --control address"):
            await one.put(TOKEN, "message")


async def test_redirect_is_not_followed(folder: Path, clock: FakeClock) -> None:
    async with (
        over_tcp(folder, clock) as address,
        answering(folder, http("307 Moved", "", f"Location: http://{address}/v1/status"), clock) as one,
    ):
        with pytest.raises(PublishError, match=r"refused with HTTP 307. Check that this is the --control address"):
            await one.status()


@pytest.mark.parametrize("body", ["<html>", "[1]", "", "{}"])
async def test_refusal_without_a_problem_document_is_an_error(folder: Path, clock: FakeClock, body: str) -> None:
    async with answering(folder, http("404 Not Found", body), clock) as one:
        with pytest.raises(PublishError, match=r"refused with HTTP 404. Check that this is the --control address"):
            await one.put(TOKEN, "message")


@pytest.mark.parametrize("answer", ["", "SSH-2.0-OpenSSH\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
async def test_broken_connection_is_an_error(folder: Path, clock: FakeClock, answer: str) -> None:
    async with answering(folder, answer, clock) as one:
        with pytest.raises(PublishError, match=r"cannot reach .* 'n1' \(unix:.*other\.sock\)"):
            await one.put(TOKEN, "message")


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"instance_id": "i", "next": "x", "gap": null, "fetches": []}',
        '{"instance_id": "i", "next": 1, "gap": 1}',
    ],
)
async def test_invalid_feed_is_an_error(folder: Path, clock: FakeClock, body: str) -> None:
    async with answering(folder, http("200 OK", body), clock) as one:
        with pytest.raises(PublishError, match=r"cannot read the fetches of .*Update wellkeeper-responder"):
            await one.fetches(0, wait_seconds=0)


async def test_put_names_the_instance_that_took_it(folder: Path, clock: FakeClock) -> None:
    now = int(clock.now().timestamp())
    async with over_tcp(folder, clock) as address, client(address, clock) as one:
        taken_by = await one.put(TOKEN, sign_publication(publication(issued_at=now), KEY))
        assert taken_by == (await one.status())["instance_id"]


async def test_directory_of_a_socket_that_others_may_write_is_refused_but_not_the_socket(
    folder: Path, clock: FakeClock
) -> None:
    run = folder / "run"
    run.mkdir()
    async with answering(run, http("200 OK", "{}"), clock) as one:
        (run / "other.sock").chmod(0o666)
        assert await one.status() == {}
        for place, mode in ((run, 0o777), (run, 0o770), (folder, 0o777)):
            before = place.stat().st_mode
            place.chmod(mode)
            for call in (one.status, lambda: one.put(TOKEN, "message"), lambda: one.fetches(0, wait_seconds=0)):
                with pytest.raises(
                    PublishError, match=rf"^cannot trust the responder of node 'n1' .* may write to {place} "
                ):
                    await call()
            place.chmod(before)
        assert await one.status() == {}


async def test_socket_without_permission_is_reported_with_the_remedy(clock: FakeClock) -> None:
    def ignore(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    with shared_folder() as folder:
        path = folder / "control.sock"
        async with await asyncio.start_unix_server(ignore, path):
            path.chmod(0)
            one = ResponderClient("n1", f"unix:{path}", KEY, clock)
            with as_unprivileged_user(), pytest.raises(PublishError, match="member of the socket's group"):
                await one.status()
            await one.close()


async def test_name_of_the_responder_is_followed_to_another_address(folder: Path, clock: FakeClock) -> None:
    names, message = Names(responder=["127.0.0.1"]), sign_publication(publication(), KEY)
    one, found = ResponderClient("n1", "responder:8403", KEY, clock, resolver=names), []
    for host in ("127.0.0.1", "127.0.0.2"):
        async with over_tcp(folder, clock, host) as address:
            names.addresses["responder"], names.port = [host], int(address.rpartition(":")[2])
            found.append(await one.put(TOKEN, message))
    await one.close()
    assert len(set(found)) == 2


async def test_name_of_a_responder_without_an_address_is_named_with_its_setting(clock: FakeClock) -> None:
    one = ResponderClient("n1", "responder:8403", KEY, clock, resolver=Names())
    with pytest.raises(PublishError) as caught:
        await one.status()
    await one.close()
    what, why, remedy = caught.value.lines
    assert (what, why) == ("cannot reach the responder of node 'n1' (responder:8403)", "Name or service not known")
    assert remedy.startswith("Start the host of this name, or change 'responder' of this node in the settings, ")
