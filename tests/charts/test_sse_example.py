"""The example of server-sent events pushes exactly the updates of its chart."""

import importlib.util
import json
from pathlib import Path

import aiohttp
import pytest

from shared.app import App
from shared.charts import reactor as charts
from tests.support.causes import cause
from tests.support.chart_source import serving

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "charts_sse.py"


async def test_a_browser_gets_an_event_per_change_of_its_chart(
    app: App, redis_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{redis_port}")
    spec = importlib.util.spec_from_file_location("charts_sse", EXAMPLE)
    assert spec
    assert spec.loader
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)

    async def write(chart: str, value: float) -> None:
        key = f"fabric:data:chart:{chart}".encode()
        await app.redis.set(key, json.dumps([{"t": 1_767_225_600_000, "v": value}]), ex=300)
        await charts.react(app, [key], cause("set"))

    async with serving(example.app) as port, aiohttp.ClientSession() as http:
        async with http.get(f"http://127.0.0.1:{port}/charts/co2-flow/realtime/events") as response:
            assert response.content_type == "text/event-stream"
            assert await response.content.readuntil(b"\n\n") == b"retry: 2000\n\n"
            await write("other:realtime", 1)
            await write("co2-flow:realtime", 1)
            await write("co2-flow:realtime", 1)  # the same content: no event
            await write("co2-flow:realtime", 2)
            events: list[bytes] = []
            while len(events) < 2:
                event = await response.content.readuntil(b"\n\n")
                events += [] if event.startswith(b":") else [event]  # a comment keeps the connection alive
        updates = [json.loads(event.decode().partition("data: ")[2]) for event in events]
        assert [update["chartId"] for update in updates] == ["co2-flow", "co2-flow"]
        assert len({update["sourceDigest"] for update in updates}) == 2
        assert events[0].startswith(f"id: {updates[0]['sourceDigest']}\n".encode())
        await app.redis.publish("fabric:events:chart", json.dumps({"chartId": "", "dataType": ""}))  # ends the route
    await example.redis.aclose()
