"""The status page in a real browser, through a real nginx with a prefix and a password, and hostile words of others."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect
from yarl import URL

from stand.processes import temporary_folder
from stand.status_page import CHROMIUM, PASSWORD, REFUSED, USER, StatusPage, running_status_page

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

HOSTILE: Final = "<script>document.title='ours'</script><img src=x onerror=alert(1)>\u202etxt.exe\x1b[31m" + "x" * 5_000
SHOWN: Final = "<script>document.title='ours'</script><img src=x onerror=alert(1)> txt.exe [31m"
PATHS: Final = ("", "?state=failing", f"certificate?name={REFUSED}", "certificate?name=www", "certificate?name=none")
STRANGER: Final = "s7r4ng3r"
OTHERS: Final = ("nodes", "limits", "rehearsals", "settings")


@dataclass(frozen=True)
class Browsing:
    browser: Browser
    site: StatusPage

    @asynccontextmanager
    async def page(self, **options: Any) -> AsyncIterator[Page]:  # noqa: ANN401 - of a new context
        """Yield a page of a new user; fails if the browser complained about anything but a missing certificate."""
        complaints = list[str]()
        context = await self.browser.new_context(
            base_url=self.site.url, http_credentials={"username": USER, "password": PASSWORD}, **options
        )
        page = await context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
        assert await context.cookies() == []
        await context.close()
        assert [one for one in complaints if "404" not in one] == []


async def test_page_is_accessible_and_safe_and_needs_no_scripts() -> None:
    """Check everything in one browser, because the servers and the browser take longer to start than to use."""
    with temporary_folder() as folder:
        async with (
            answering(HOSTILE) as target,
            running_status_page(folder, HOSTILE, target) as site,
            async_playwright() as playwright,
        ):
            await strangers_ask(site)
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            browsing = Browsing(browser, site)
            for scheme in ("light", "dark"):
                await pages_are_accessible(browsing, scheme)
            await page_is_usable_without_scripts_and_links_stay_below_the_prefix(browsing)
            await words_of_others_are_text(browsing)
            await what_a_client_says_of_itself_is_text(browsing)
            await keyboard_reaches_the_content_first_and_shows_where_it_is(browsing)
            await narrow_screen_needs_no_scrolling_to_the_side(browsing)
            await browser.close()


async def pages_are_accessible(browsing: Browsing, scheme: str) -> None:
    async with browsing.page(color_scheme=scheme) as page:
        for path in (*PATHS, *OTHERS):
            await page.goto(path)
            found = await Axe().run(page)
            assert found.response["violations"] == [], (path, found.generate_report())


async def page_is_usable_without_scripts_and_links_stay_below_the_prefix(browsing: Browsing) -> None:
    async with browsing.page(java_script_enabled=False) as page:
        await page.goto("")
        await expect(page).to_have_title("1 of 4 certificates needs attention · Wellkeeper")
        await page.get_by_label("Name contains").fill("bücher")
        await page.get_by_role("button", name="Show").click()
        await expect(page.locator("tbody tr")).to_have_count(1)
        await page.get_by_role("link", name="wiki").click()
        await expect(page).to_have_title("wiki: served · Wellkeeper")
        await expect(page.get_by_text("from 127.0.0.1")).to_be_visible()
        for name in ("Nodes", "Limits", "Rehearsals", "Settings", "Certificates"):
            await page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()
            await expect(page.locator("[aria-current=page]")).to_have_text(name)
            assert page.url.startswith(browsing.site.url)


async def words_of_others_are_text(browsing: Browsing) -> None:
    """Show those of the CA in the list and on the certificate's page, and those of a target of notifications."""
    async with browsing.page() as page:
        for path, row in (("", "tbody tr"), ("", "section.problems"), (f"certificate?name={REFUSED}", "main")):
            await page.goto(path)
            await expect(page.locator(row).get_by_text(SHOWN).first).to_be_visible()
            await nothing_ran(page)


async def what_a_client_says_of_itself_is_text(browsing: Browsing) -> None:
    """Show what a responder may report as the address of a client; its user agent, host and path are not shown."""
    history = browsing.site.state_dir / "history.jsonl"
    text = await asyncio.to_thread(history.read_text)
    assert '"fetched_by": "127.0.0.1"' in text
    changed = text.replace('"fetched_by": "127.0.0.1"', f'"fetched_by": {json.dumps(HOSTILE)}')
    await asyncio.to_thread(history.write_text, changed)
    async with browsing.page() as page:
        await page.goto("certificate?name=www")
        await expect(page.get_by_text(f"from {SHOWN}").first).to_be_visible()
        await nothing_ran(page)
        for path in (*PATHS, *OTHERS):
            await page.goto(path)
            assert STRANGER not in await page.content()


async def nothing_ran(page: Page) -> None:
    assert await page.locator("script, img").count() == 0
    assert "ours" not in (await page.title()).split()
    shown = await page.locator("body").inner_text()
    assert not {"\u202e", "\x1b"} & set(shown)


@asynccontextmanager
async def answering(words: str) -> AsyncIterator[str]:
    """Run a target of notifications that refuses everything with these words; yield its settings."""

    async def refuse(_request: web.BaseRequest) -> web.Response:
        return web.Response(status=500, text=words)

    server = RawTestServer(refuse, host="127.0.0.1")
    async with server:
        yield f"[[notifications.webhooks]]\nname = 'chat'\nurl = '{server.make_url('/')}'"


async def strangers_ask(site: StatusPage) -> None:
    """Ask for a token and for the page with all that a client may choose."""
    said = f"{STRANGER}<script>document.title='ours'</script>\"'"
    headers = {"User-Agent": said * 50, "X-Forwarded-For": said, "X-Real-IP": said, "Referer": said}
    async with aiohttp.ClientSession(headers=headers) as session:
        for path in (f"/.well-known/acme-challenge/{STRANGER}", f"/wellkeeper/?name={STRANGER}"):
            async with session.get(URL(site.url).with_path("/").join(URL(path))) as reply:
                assert reply.status in {401, 404}


async def keyboard_reaches_the_content_first_and_shows_where_it_is(browsing: Browsing) -> None:
    async with browsing.page() as page:
        await page.goto("")
        await page.keyboard.press("Tab")
        skip = page.get_by_role("link", name="Skip to content")
        await expect(skip).to_be_focused()
        await expect(skip).to_be_in_viewport()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        name = page.get_by_label("Name contains")
        await expect(name).to_be_focused()
        assert await name.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"
        await page.keyboard.type("mail")
        await page.keyboard.press("Enter")
        await expect(page.locator("tbody tr")).to_have_count(1)


async def narrow_screen_needs_no_scrolling_to_the_side(browsing: Browsing) -> None:
    async with browsing.page(viewport={"width": 320, "height": 640}) as page:
        for path in (*PATHS, *OTHERS):
            await page.goto(path)
            assert await page.evaluate("document.documentElement.scrollWidth") <= 320, path
