"""A real Chromium per test process, and pages whose console must stay empty."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Browser, BrowserContext, Locator, Page, Request, expect

from tests.e2e.conftest import app_connection, live, running
from tests.support import chromium
from tests.support import monitor_sample as sample
from tests.support.staged import ADDRESS, KEY, Staged

__all__ = ["app_connection", "live", "running"]

TIMEOUT_MS = 15_000
NOW = datetime(2026, 11, 22, 13, 58, 41, tzinfo=UTC)
expect.set_options(timeout=TIMEOUT_MS)


@dataclass
class Watched:
    """A page, the errors and warnings of its console, its exceptions, and the addresses that it requested."""

    page: Page
    context: BrowserContext
    faults: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)

    def note_request(self, request: Request) -> None:
        self.addresses.append(request.url)


def required_chromium() -> str:
    """The path of Chromium. Without one, the tests fail in CI and are skipped elsewhere."""
    executable = chromium.find()
    if executable is not None:
        return executable
    if os.environ.get("CI"):
        pytest.fail(chromium.MISSING)
    pytest.skip(chromium.MISSING)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium.launched(required_chromium()) as launched:
        yield launched


@pytest.fixture
async def watched(browser: Browser) -> AsyncIterator[Watched]:
    """A page in a new profile. Console errors fail the test, unless the test clears `faults`."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    context.set_default_timeout(TIMEOUT_MS)
    page = await context.new_page()
    watched = Watched(page, context)
    page.on("console", lambda line: watched.faults.append(line.text) if line.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: watched.faults.append(str(error)))
    page.on("request", watched.note_request)
    yield watched
    await context.close()
    assert watched.faults == []


@pytest.fixture
async def staged(watched: Watched) -> Staged:
    """Simulated responses, and a stopped clock; the page is not open yet."""
    staged = Staged(lambda: sample.document(NOW), sample.answers(NOW))
    await watched.page.clock.install(time=NOW - timedelta(hours=1))
    await watched.page.clock.pause_at(NOW)
    await staged.serve(watched.page)
    return staged


async def open_page(page: Page) -> None:
    """Open the page in a tab that has the function key."""
    await page.add_init_script(f"sessionStorage.setItem('keyspace-functions-key', '{KEY}')")
    await page.goto(ADDRESS)
    await expect(page.locator("#figures")).to_be_visible()


async def update(page: Page) -> None:
    """Make the page request data at once, as when it becomes visible, and wait until it shows the response."""
    await page.evaluate("""
        document.querySelector('#summary').firstChild.dataset.former = '';
        document.dispatchEvent(new Event('visibilitychange'));
    """)
    await expect(page.locator("#summary [data-former]")).to_have_count(0)


def region(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)
