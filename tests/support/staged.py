"""The monitor page with simulated responses: the app's files and policy, and data chosen by the test."""

import mimetypes
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from playwright.async_api import Page, Request, Route

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
    """Simulates the app: `data` is called for every response to a request for the page's data."""

    data: Callable[[], dict[str, Any]]
    answers: dict[str, Any] = field(default_factory=dict)
    """By the end of a path: the JSON of its responses, or a function of the request that returns it; None is a 204."""
    away: bool = False
    """Refuse connections."""
    status: int = 200
    """HTTP status of responses."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and address of each request to the app's functions."""

    async def serve(self, page: Page) -> None:
        await page.route(f"{ORIGIN}/**", self._respond)

    def count(self, path: str) -> int:
        """How many requests there were for the path that ends like this."""
        return len([url for _, url in self.requests if urlsplit(url).path.endswith(path)])

    async def _respond(self, route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path == "/api/monitor":
            await self._file(route, "monitor.html")
        elif path.startswith("/api/monitor/") and path != "/api/monitor/data":
            await self._file(route, path.removeprefix("/api/monitor/"))
        else:
            self.requests.append((route.request.method, route.request.url))
            await self._function(route, path)

    async def _file(self, route: Route, name: str) -> None:
        kind = mimetypes.guess_type(name)[0]
        headers = {"Content-Security-Policy": POLICY, "Content-Type": f"{kind}; charset=utf-8"}
        await route.fulfill(body=(FILES / name).read_text(encoding="utf-8"), headers=headers)

    async def _function(self, route: Route, path: str) -> None:
        if self.away:
            await route.abort("connectionrefused")
        elif route.request.headers.get("x-functions-key") != KEY:
            await route.fulfill(status=401)
        elif self.status != 200:
            await route.fulfill(status=self.status, json=self.data())
        elif path.endswith("/monitor/data"):
            await route.fulfill(json=self.data())
        else:
            end = max((end for end in self.answers if path.endswith(end)), key=len)
            answer = self.answers[end]
            answer = answer(route.request) if callable(answer) else answer
            await (route.fulfill(status=204) if answer is None else route.fulfill(json=answer))


def parameters(request: Request) -> dict[str, str]:
    """The query of a request."""
    return dict(parse_qsl(urlsplit(request.url).query))


async def enter_key(page: Page, key: str = KEY) -> None:
    """Enter the function key, as a user does first."""
    await page.get_by_label("Function key").fill(key)
    await page.get_by_role("button", name="Show data").click()
