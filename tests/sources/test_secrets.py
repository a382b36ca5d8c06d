"""A source that sends back what it was sent, in each place that an answer has: no secret is shown anywhere."""

import json
import logging

import msgspec
import pytest
import redis.asyncio
from fastapi import Request, Response
from fastapi.responses import JSONResponse

from shared.app import App
from shared.charts import reactor as charts
from shared.charts import refresh, source_state
from shared.operations import chart_list, health
from shared.operations.doctor import app_state
from shared.reactor import Cause
from shared.settings import Settings
from tests.support.chart_source import ChartSource, serving

SECRET = "hunter2-of-the-source"
KEY = b"fabric:data:chart:co2-flow:realtime"
ECHOES = {
    "an error": lambda sent: JSONResponse(sent, status_code=500),
    "no chart": JSONResponse,
    "a report": lambda sent: JSONResponse({"error": sent}),
    "a redirect elsewhere": lambda sent: Response(status_code=302, headers={"Location": f"http://evil.test/?{SECRET}"}),
    "a redirect": lambda sent: Response(status_code=302, headers={"Location": f"/charts/a/b?code={SECRET}"}),
    "no JSON": lambda sent: Response(str(sent), media_type="application/json"),
    "a content type": lambda sent: Response("[]", media_type=f"text/{SECRET}"),
    "patience": lambda sent: Response(status_code=429, headers={"Retry-After": SECRET}),
}


@pytest.mark.parametrize("kind", ECHOES)
async def test_what_an_answer_repeats_is_shown_nowhere(
    app_settings: Settings, redis_client: redis.asyncio.Redis, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    source = ChartSource()

    async def echo(request: Request, *_: str) -> Response:
        sent = {"headers": dict(request.headers), "url": str(request.url), "body": (await request.body()).decode()}
        assert json.dumps(sent).count(SECRET) == 3
        return ECHOES[kind](sent)

    source.answer = echo
    caplog.set_level(logging.DEBUG)
    async with serving(source.app) as source.port:
        entry = {
            "match": "*",
            "url": source.url + "?code=%THE_KEY%",
            "headers": {"x-api-key": "%THE_KEY%"},
            "method": "POST",
            "body": {"key": "%THE_KEY%"},
            "timeout_s": 5,
        }
        settings = msgspec.structs.replace(
            app_settings,
            chart_sources=json.dumps([entry]),
            chart_source_hosts="127.0.0.1",
            chart_secrets=(("THE_KEY", SECRET),),
        )
        app = App(settings, redis_client)
        try:
            await charts.react(app, [KEY], Cause.EXPIRED)
            (configured,) = settings.sources.entries
            for _ in range(refresh.FAILURES_TO_REST):
                await redis_client.zadd(refresh.due_key(configured), {KEY: 0})
                taken = await refresh.take(app, configured, 8)
                outcome = await refresh.refresh(app, configured, KEY, taken)
            shown = [
                outcome,
                await source_state.read_sources(app),
                await source_state.read_refreshes(app, [KEY]),
                msgspec.json.encode(await chart_list.read(app, 0, 100)),
                (await health.check_app(app)).as_dict(),
                await app_state.check_sources(app),
                settings,
                settings.sources,
            ]
        finally:
            await refresh.close(app)
    assert source.requests
    assert "is away" in str(shown) or kind == "patience"
    stored = [await redis_client.dump(key) for key in await redis_client.keys()]
    assert SECRET not in repr(shown)
    assert SECRET not in caplog.text
    assert SECRET.encode() not in b"".join(stored)
