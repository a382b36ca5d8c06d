"""A real Chromium per test process, and pages whose console must stay empty."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Request, expect

from tests.e2e.conftest import app_connection, live, running
from tests.support import chromium

__all__ = ["app_connection", "live", "running"]

TIMEOUT_MS = 15_000
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
