"""The installed Chromium, driven by Playwright; Playwright's own browser builds are not used."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

MISSING = "Chromium is not installed; on Debian: apt-get install -y chromium"


def find() -> str | None:
    """The path of Chromium or Chrome; None if neither is installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


@asynccontextmanager
async def launched(executable: str) -> AsyncIterator[Browser]:
    """A headless browser, closed after the block."""
    async with async_playwright() as playwright:
        # In a container, root has no sandbox and /dev/shm is small.
        options = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = await playwright.chromium.launch(executable_path=executable, args=options)
        yield browser
        await browser.close()
