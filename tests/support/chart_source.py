"""A source of charts on loopback: a real FastAPI app, as slow, broken or hostile as a test wants it."""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response

type Answer = Callable[[Request, str, str], Awaitable[Response]]

T0 = 1_767_225_600_000


class ChartSource:
    """`answer` is called for each request of a chart; by default it answers with `rows`, which a test may change."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.app.add_api_route("/charts/{chart_id}/{data_type}", self._chart, methods=["GET", "POST"])
        self.app.add_api_route("/moved/{chart_id}/{data_type}", self._chart, methods=["GET", "POST"])
        self.port = 0
        self.value = 1.0
        self.delay_s = 0.0
        self.answer: Answer = self.rows
        self.requests: list[tuple[float, str]] = []
        """When each request came (time.monotonic), and its chart."""
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.in_flight: Counter[str] = Counter()
        self.most_in_flight: Counter[str] = Counter()
        """By chart; and of all charts together as ""."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/charts/{{chartId}}/{{dataType}}"

    async def rows(self, request: Request, chart_id: str, data_type: str) -> Response:
        """The dashboard's rows, of which the last has the value `value`."""
        from fastapi.responses import JSONResponse

        return JSONResponse([{"t": T0 + 1000 * row, "v": self.value} for row in range(5)])

    async def _chart(self, request: Request, chart_id: str, data_type: str) -> Response:
        chart = f"{chart_id}:{data_type}"
        self.requests.append((time.monotonic(), chart))
        self.headers.append(dict(request.headers))
        if request.method == "POST":
            self.bodies.append(await request.json())
        for name in (chart, ""):
            self.in_flight[name] += 1
            self.most_in_flight[name] = max(self.most_in_flight[name], self.in_flight[name])
        try:
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            return await self.answer(request, chart_id, data_type)
        finally:
            for name in (chart, ""):
                self.in_flight[name] -= 1


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    """Serve an ASGI app with uvicorn in this event loop; its port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1))
    server.capture_signals = _no_signals  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve([listener]))
    while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
        await asyncio.sleep(0.005)
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listener.close()


def _no_signals() -> Any:
    return nullcontext()
