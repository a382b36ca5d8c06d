"""The monitor page with simulated responses: the app's files and policy, and data chosen by the test."""

import json
import mimetypes
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Page, Route

FILES = Path(__file__).parents[2] / "triggers" / "monitor_page"
ORIGIN = "http://monitor.test"
ADDRESS = f"{ORIGIN}/api/monitor"
KEY = "a-function-key"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass
class Staged:
    """Simulates the app: `data` is called for every response."""

    data: Callable[[], dict[str, Any]]
    letters: dict[str, Any] = field(default_factory=dict)
    """A further page of dead letters."""
    letter: dict[str, Any] = field(default_factory=dict)
    """A dead letter with its explanation."""
    away: bool = False
    """Refuse connections."""
    status: int = 200
    """HTTP status of responses."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and address of each request to the app's functions."""

    async def serve(self, page: Page) -> None:
        await page.route(f"{ORIGIN}/**", self._respond)

    async def _respond(self, route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path == "/api/monitor":
            await self._file(route, "monitor.html")
        elif path.startswith("/api/monitor/") and path != "/api/monitor/data":
            await self._file(route, path.removeprefix("/api/monitor/"))
        else:
            self.requests.append((route.request.method, route.request.url))
            await self._function(route)

    async def _file(self, route: Route, name: str) -> None:
        kind = mimetypes.guess_type(name)[0]
        headers = {"Content-Security-Policy": POLICY, "Content-Type": f"{kind}; charset=utf-8"}
        await route.fulfill(body=(FILES / name).read_text(encoding="utf-8"), headers=headers)

    async def _function(self, route: Route) -> None:
        if self.away:
            await route.abort("connectionrefused")
        elif route.request.headers.get("x-functions-key") != KEY:
            await route.fulfill(status=401)
        elif self.status != 200:
            await route.fulfill(status=self.status, body=json.dumps(self.data()))
        else:
            url = route.request.url
            document = self.letter if "/events/dead/" in url else self.letters if "/events/dead" in url else self.data()
            await route.fulfill(body=json.dumps(document), headers={"Content-Type": "application/json"})


async def enter_key(page: Page, key: str = KEY) -> None:
    """Enter the function key, as a user does first."""
    await page.get_by_label("Function key").fill(key)
    await page.get_by_role("button", name="Show data").click()
