"""Make the pictures of docs/status-page.md: `python -m stand.screenshots [DIRECTORY]`, with Debian's Chromium."""

import asyncio
import sys
from pathlib import Path
from typing import Final, Literal

from playwright.async_api import Browser, async_playwright

from stand.processes import PROJECT, temporary_folder
from stand.status_page import CHROMIUM, PASSWORD, REFUSED, USER, StatusPage, running_status_page

_WORDS: Final = "DNS problem: NXDOMAIN looking up A for shop.example.org"
_Scheme = Literal["light", "dark"]
# Name, path below the page, scheme, and width of the window.
_SHOTS: Final[tuple[tuple[str, str, _Scheme, int], ...]] = (
    ("status-page-light", "", "light", 1000),
    ("status-page-dark", "", "dark", 1000),
    ("status-page-certificate", "certificate?name=www", "light", 1000),
    ("status-page-failing", f"certificate?name={REFUSED}", "dark", 1000),
)


async def _shoot(browser: Browser, page: StatusPage, folder: Path) -> None:
    for name, path, scheme, width in _SHOTS:
        context = await browser.new_context(
            color_scheme=scheme,
            java_script_enabled=False,
            viewport={"width": width, "height": 1000},
            http_credentials={"username": USER, "password": PASSWORD},
        )
        shown = await context.new_page()
        await shown.goto(page.url + path)
        await shown.screenshot(path=folder / f"{name}.png")
        await context.close()


async def _main(folder: Path) -> None:
    with temporary_folder() as temporary:
        async with running_status_page(temporary, _WORDS) as page, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            await _shoot(browser, page, folder)
            await browser.close()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / "docs"))
