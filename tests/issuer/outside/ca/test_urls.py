"""The URLs that a CA, or the settings, may name: what is not https, or not a URL, is not asked."""

import pytest

from tests.fakes import FakeClock
from tests.fakes_acme import AcmeServer, Canned
from tests.fakes_deliver import dns
from tests.issuer.outside.conftest import authority
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.ca.authority import AcmeAuthority
from wellkeeper_issuer.outside.ca.json_replies import ReplyError
from wellkeeper_issuer.outside.ca.session import CaSession, Reply
from wellkeeper_issuer.outside.keys.accounts import AccountFolder

A = dns("a.example")
NO_URLS = ("https://a:99999/", "https://a:x/", "https://[/", "https://xn--a/", "https://a..b/", f"https://{'a' * 64}/")


async def test_plain_http_is_refused_unless_the_settings_allow_it(
    server: AcmeServer, accounts: AccountFolder, clock: FakeClock
) -> None:
    async with authority(server.directory_url, accounts, clock, allow_http=False) as ca:
        with pytest.raises(
            OrderError, match=r"refused to send .*: the URL http://.* is not https\. .*allow_http = true"
        ):
            await ca.new_order([A], None, None)
    assert server.asked == []


@pytest.mark.parametrize("name", ["newNonce", "newAccount", "newOrder"])
async def test_url_of_the_directory_is_checked_before_it_is_asked(
    ca: AcmeAuthority, server: AcmeServer, name: str
) -> None:
    server.answers["/directory"].body[name] = "ftp://ca.example/"
    with pytest.raises(OrderError, match=r"refused to send .*: the URL ftp://ca.example/ is not https"):
        await ca.new_order([A], None, None)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/x", "file:///etc/passwd", "ftp://a/", "x", "https://a b/", "", *NO_URLS],
)
async def test_only_https_urls_are_asked(url: str) -> None:
    session = CaSession("wellkeeper/1")
    for request in (session.get(url), session.head(url), session.post(url, b"{}")):
        with pytest.raises(Exception, match=r"is not https|is not a URL"):
            await request


@pytest.mark.parametrize("url", [*NO_URLS, "//ca.example:99999/x"])
def test_location_that_is_not_a_url_is_refused(url: str) -> None:
    reply = Reply("https://ca.example/order", 201, {"Location": url}, (), b"")
    with pytest.raises(ReplyError, match=r"its Location .* is not a URL"):
        reply.location()


async def test_redirect_to_another_scheme_is_refused(ca: AcmeAuthority, server: AcmeServer) -> None:
    server.next["/directory"].append(Canned(302, "", {"Location": "ftp://ca.example/directory"}))
    with pytest.raises(OrderError, match=r"the URL ftp://ca.example/directory is not https"):
        await ca.new_order([A], None, None)


@pytest.mark.parametrize("url", NO_URLS)
async def test_order_without_a_usable_location_is_an_order_error(
    ca: AcmeAuthority, server: AcmeServer, url: str
) -> None:
    server.next["/order"].append(Canned(201, {}, {"Location": url}))
    with pytest.raises(OrderError, match="is not a URL"):
        await ca.new_order([A], None, None)
