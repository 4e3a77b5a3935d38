"""Renewal infos: requests, parsing of the answers, and backing off from a CA in trouble."""

import asyncio
import email.utils
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from tests.fakes import FakeClock, run_tasks_until
from tests.fakes_acme import CUT, AcmeServer, Canned, problem
from tests.opened_cas import make_server
from wellkeeper_issuer.outside.ca.options import CaOptions
from wellkeeper_issuer.outside.ca.renewal_info import AcmeRenewalInfos
from wellkeeper_issuer.outside.ca.server import CaServer
from wellkeeper_issuer.records import NoRenewalInfo, RenewalInfo, Window

ID: Final = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
START, END = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 3, tzinfo=UTC)
GOOD: Final = {"suggestedWindow": {"start": "2026-05-01T00:00:00Z", "end": "2026-05-03T00:00:00Z"}}
PATH: Final = f"/info/{ID}"


@asynccontextmanager
async def renewal_infos(clock: FakeClock, **options: Any) -> AsyncIterator[AcmeRenewalInfos]:  # noqa: ANN401 - what CaOptions takes
    """Ask any CA; plain http is allowed."""
    servers = []

    def open_server(directory_url: str) -> CaServer:
        servers.append(make_server(CaOptions("a CA", directory_url, **{"allow_http": True, **options}), clock))
        return servers[-1]

    yield AcmeRenewalInfos(open_server, clock)
    for server in servers:
        await server.close()


@pytest.fixture
async def infos(server: AcmeServer, clock: FakeClock) -> AsyncIterator[AcmeRenewalInfos]:
    """Yield a client of a server that offers valid renewal infos."""
    server.answers["/directory"].body["renewalInfo"] = server.url("/info")
    server.answers[PATH] = Canned(200, GOOD)
    async with renewal_infos(clock) as made:
        yield made


async def ask(infos: AcmeRenewalInfos, server: AcmeServer) -> RenewalInfo | NoRenewalInfo | None:
    return await infos.ask(server.directory_url, ID)


async def refusal(infos: AcmeRenewalInfos, server: AcmeServer) -> NoRenewalInfo:
    answer = await ask(infos, server)
    assert isinstance(answer, NoRenewalInfo)
    return answer


async def test_window_is_requested_without_an_account(infos: AcmeRenewalInfos, server: AcmeServer) -> None:
    assert await ask(infos, server) == RenewalInfo(Window(START, END))
    assert [(one.method, one.path) for one in server.asked] == [("GET", "/directory"), ("GET", PATH)]
    for one in server.asked:
        assert one.headers["user-agent"] == f"wellkeeper/1 aiohttp/{aiohttp.__version__}"
        assert one.headers["accept-language"] == "en"


async def test_directory_is_read_once_per_day_for_all_requests(
    infos: AcmeRenewalInfos, server: AcmeServer, clock: FakeClock
) -> None:
    await asyncio.gather(*(ask(infos, server) for _ in range(30)))
    assert [one.path for one in server.asked].count("/directory") == 1
    clock.advance(86_401)
    await ask(infos, server)
    assert [one.path for one in server.asked].count("/directory") == 2


async def test_ca_without_renewal_info_returns_none(infos: AcmeRenewalInfos, server: AcmeServer) -> None:
    del server.answers["/directory"].body["renewalInfo"]
    assert await ask(infos, server) is None
    assert [one.path for one in server.asked] == ["/directory"]


@pytest.mark.parametrize(
    ("start", "end", "window"),
    [
        ("2026-05-01T02:00:00+02:00", "2026-05-02T22:00:00-02:00", Window(START, END)),
        ("2026-05-01T00:00:00.123456789Z", "2026-05-03T00:00:00Z", Window(START + timedelta(microseconds=123456), END)),
    ],
    ids=["other zones", "nanoseconds"],
)
async def test_all_forms_of_rfc_3339_times_are_parsed(
    infos: AcmeRenewalInfos, server: AcmeServer, start: str, end: str, window: Window
) -> None:
    server.answers[PATH] = Canned(200, {"suggestedWindow": {"start": start, "end": end}})
    assert await ask(infos, server) == RenewalInfo(window)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "it is not JSON: Expecting value"),
        ("<html>", "it is not JSON: Expecting value"),
        ("\udcff", "it is not JSON: 'utf-8' codec can't decode"),
        ("[" * 60_000 + "]" * 60_000, "is not valid: its JSON is nested too deeply"),
        (" " * 1_100_000, "it is longer than 1024 KiB"),
        ([], "it is not a JSON object but a list"),
        ({}, "suggestedWindow is missing"),
        ({"suggestedWindow": "soon"}, "suggestedWindow is missing"),
        ({"suggestedWindow": {"start": "2026-05-01T00:00:00Z"}}, "None is not an RFC 3339 time"),
        ({"suggestedWindow": {"start": 5, "end": 6}}, "5 is not an RFC 3339 time"),
        ({"suggestedWindow": {"start": "2026-05-01T00:00:00", "end": "x"}}, "'2026-05-01T00:00:00' is not an RFC 3339"),
        ({"suggestedWindow": {"start": "0001-01-01T00:00:00+05:00", "end": "x"}}, "is not an RFC 3339 time"),
        ({"suggestedWindow": {"start": "2026-05-03T00:00:00Z", "end": "2026-05-01T00:00:00Z"}}, "its window ends at"),
        ({"suggestedWindow": {"start": "2026-05-03T00:00:00Z", "end": "2026-05-03T00:00:00Z"}}, "its window ends at"),
    ],
)
async def test_invalid_answer_is_reported(infos: AcmeRenewalInfos, server: AcmeServer, body: Any, words: str) -> None:  # noqa: ANN401
    server.answers[PATH] = Canned(200, body)
    answer = await refusal(infos, server)
    assert words in answer.reason
    assert not answer.is_passing


@pytest.mark.parametrize(
    ("url", "is_shown"),
    [
        ("https://ca.example/incident?id=5", True),
        ("HTTP://ca.example/", True),
        ("javascript:alert(1)", False),
        ("file:///etc/passwd", False),
        ("https://ca.example/\x1b[2J", False),
        ("https://ca.example/ and more", False),
        ("https://ca.example/" + "a" * 2_000, False),
        (["https://ca.example/"], False),
    ],
)
async def test_explanation_is_dropped_unless_it_is_a_web_link(
    infos: AcmeRenewalInfos, server: AcmeServer, url: object, is_shown: bool
) -> None:
    server.answers[PATH] = Canned(200, GOOD | {"explanationURL": url})
    answer = await ask(infos, server)
    assert isinstance(answer, RenewalInfo)
    assert answer.explanation_url == (url if is_shown else None)


async def test_retry_after_is_read_in_both_forms(infos: AcmeRenewalInfos, server: AcmeServer, clock: FakeClock) -> None:
    date = email.utils.format_datetime(clock.now() + timedelta(hours=2), usegmt=True)
    for text, seconds in (("21600", 21_600), (date, 7_200), ("soon", None)):
        server.answers[PATH] = Canned(200, GOOD, {"Retry-After": text})
        assert await ask(infos, server) == RenewalInfo(Window(START, END), None, seconds)


@pytest.mark.parametrize(("status", "is_passing"), [(500, True), (404, False), (403, False), (201, False)])
async def test_refusal_affects_only_one_certificate(
    infos: AcmeRenewalInfos, server: AcmeServer, status: int, is_passing: bool
) -> None:
    server.next[PATH].append(problem(status, "malformed", "no such\n\x1bcertificate", Retry_After="70"))
    answer = await refusal(infos, server)
    assert (answer.is_passing, answer.retry_after_seconds) == (is_passing, 70)
    assert answer.reason == f"{server.url(PATH)} answered HTTP {status}: no such certificate"
    assert isinstance(await ask(infos, server), RenewalInfo)


@pytest.mark.parametrize("status", [429, 503])
async def test_busy_ca_is_not_asked_for_any_certificate(
    infos: AcmeRenewalInfos, server: AcmeServer, clock: FakeClock, status: int
) -> None:
    server.next[PATH].append(Canned(status, "busy", {"Retry-After": "300"}))
    first = await refusal(infos, server)
    assert first == NoRenewalInfo(f"{server.url(PATH)} answered HTTP {status}", status == 503, 300)
    another = await infos.ask(server.directory_url, "another.one")
    assert another == replace(first, is_passing=True, is_unreached=True)
    assert len(server.paths()) == 1
    clock.advance(301)
    assert isinstance(await ask(infos, server), RenewalInfo)


async def test_pause_is_at_most_an_hour(infos: AcmeRenewalInfos, server: AcmeServer, clock: FakeClock) -> None:
    server.next[PATH].append(Canned(503, "", {"Retry-After": "99999999"}))
    await refusal(infos, server)
    clock.advance(3_601)
    assert isinstance(await ask(infos, server), RenewalInfo)


async def test_cut_connection_is_reported_and_pauses_all_requests(
    infos: AcmeRenewalInfos, server: AcmeServer, clock: FakeClock
) -> None:
    server.next[PATH].extend([CUT, CUT])  # aiohttp repeats a GET itself, once
    for _ in range(2):
        found = await refusal(infos, server)
        assert "cannot reach" in found.reason
        assert (found.is_passing, found.is_unreached, found.retry_after_seconds) == (True, True, None)
    clock.advance(61)
    assert isinstance(await ask(infos, server), RenewalInfo)


@pytest.mark.parametrize(
    "answer", [Canned(500, "<html>"), Canned(200, "<html>"), Canned(404, "")], ids=["500", "not JSON", "404"]
)
async def test_failed_directory_is_read_again(
    infos: AcmeRenewalInfos, server: AcmeServer, clock: FakeClock, answer: Canned
) -> None:
    server.next["/directory"].append(answer)
    found = await refusal(infos, server)
    assert server.directory_url in found.reason
    assert found.is_unreached
    clock.advance(61)
    assert isinstance(await ask(infos, server), RenewalInfo)


async def test_compressed_body_is_refused(infos: AcmeRenewalInfos, server: AcmeServer) -> None:
    server.answers[PATH] = Canned(200, GOOD, {"Content-Encoding": "gzip"})
    assert "it is encoded as 'gzip', although we asked for 'identity'" in (await refusal(infos, server)).reason
    assert {one.headers["accept-encoding"] for one in server.asked} == {"identity"}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "is not a URL"),
        ("ftp://ca.example/", "is not https"),
        ("http://[", "is not a URL"),
        ("http://127.0.0.1:1/info", "cannot reach http://127.0.0.1:1/info/"),
    ],
)
async def test_unusable_url_is_reported(infos: AcmeRenewalInfos, server: AcmeServer, url: str, words: str) -> None:
    server.answers["/directory"].body["renewalInfo"] = url
    assert words in (await refusal(infos, server)).reason


async def test_plain_http_url_is_not_requested(server: AcmeServer, clock: FakeClock) -> None:
    async with renewal_infos(clock, allow_http=False) as infos:
        answer = await infos.ask(server.directory_url, ID)
    assert isinstance(answer, NoRenewalInfo)
    assert "is not https" in answer.reason
    assert server.asked == []


async def test_at_most_three_redirects_are_followed(infos: AcmeRenewalInfos, server: AcmeServer) -> None:
    server.answers[PATH] = Canned(302, "", {"Location": server.url("/there")})
    server.answers["/there"] = Canned(200, GOOD)
    assert isinstance(await ask(infos, server), RenewalInfo)
    server.answers["/there"] = Canned(302, "", {"Location": server.url("/there")})
    assert "it redirects more than 3 times" in (await refusal(infos, server)).reason


async def test_at_most_eight_requests_run_at_once(infos: AcmeRenewalInfos, server: AcmeServer) -> None:
    await ask(infos, server)
    gate, waiting = asyncio.Event(), 0

    async def hold() -> None:
        nonlocal waiting
        waiting += 1
        await gate.wait()

    server.before[PATH] = hold
    asked = [asyncio.create_task(ask(infos, server)) for _ in range(20)]
    await run_tasks_until(lambda: waiting >= 8)
    for _ in range(50):
        await asyncio.sleep(0)
    assert waiting == 8
    gate.set()
    assert all(isinstance(answer, RenewalInfo) for answer in await asyncio.gather(*asked))


async def test_ca_that_the_settings_no_longer_allow_is_not_asked(clock: FakeClock) -> None:
    def refuse(directory_url: str) -> CaServer:
        raise ValueError(f"unknown CA {directory_url!r}")

    answer = await AcmeRenewalInfos(refuse, clock).ask("http://ca.example/directory", ID)
    assert answer == NoRenewalInfo("cannot ask the CA that issued it: unknown CA 'http://ca.example/directory'")


async def test_missing_bundle_is_reported(clock: FakeClock, folder: Path, server: AcmeServer) -> None:
    async with renewal_infos(clock, bundle=str(folder / "gone.pem")) as infos:
        assert (await refusal(infos, server)).reason.endswith(": No such file or directory")


async def test_environment_proxy_is_used(
    infos: AcmeRenewalInfos, server: AcmeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url(""))
    monkeypatch.setenv("no_proxy", "")
    await infos.ask("http://ca.example/directory", ID)
    assert [one.path for one in server.asked] == ["http://ca.example/directory"]
