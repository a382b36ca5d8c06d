"""`charts list`, `charts refresh` and `charts sources check` with sources, against a real one."""

import json
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
import redis.asyncio
from fastapi import Response

from cli import charts as command
from cli.terminal import Exit, Refused
from shared.app import App, open_app
from shared.charts import reactor as charts
from shared.charts import refresh
from shared.charts.refresher import Refresher
from shared.settings import Settings
from tests.support.causes import cause
from tests.support.chart_source import ChartSource, serving
from tests.support.json_style import faults

KEY = b"fabric:data:chart:co2-flow:realtime"


@pytest.fixture
async def source() -> AsyncIterator[ChartSource]:
    source = ChartSource()
    async with serving(source.app) as source.port:
        yield source


@pytest.fixture
async def app(app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource) -> AsyncIterator[App]:
    """With a source that has an instance, which keeps one chart, and one that knows none."""
    entries = [{"match": "co2-flow:realtime", "url": source.url}, {"match": "x-*", "url": source.url}]
    settings = msgspec.structs.replace(app_settings, chart_sources=json.dumps(entries), chart_source_hosts="127.0.0.1")
    app = open_app(settings)
    yield app
    await refresh.close(app)
    await app.redis.aclose()


async def test_a_check_shows_what_the_reader_makes_of_each_source_and_writes_nothing(
    app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await command._check(app, name="") == Exit.ATTENTION
    output, errors = capsys.readouterr()
    assert "chart: fabric:data:chart:co2-flow:realtime" in output
    assert "v: 5 values" in " ".join(output.split())
    assert "no chart of it is known" in output
    assert await command._check(app, name="x-1:d") == Exit.OK
    assert "chart: fabric:data:chart:x-1:d" in capsys.readouterr().out
    assert await app.redis.dbsize() == 0
    assert errors == ""


async def test_a_check_of_a_source_that_fails_says_why(
    app: App, source: ChartSource, capsys: pytest.CaptureFixture[str]
) -> None:
    async def failing(*_: object) -> Response:
        return Response(status_code=503)

    source.answer = failing
    assert await command._check(app, name="x-1:d") == Exit.ATTENTION
    assert "HTTP 503" in capsys.readouterr().out


async def test_the_json_of_a_check_has_a_result_for_each_source(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    assert await command._check(app, name="", json=True) == Exit.ATTENTION
    document = json.loads(capsys.readouterr().out)
    assert list(faults(document)) == []
    checked, unknown = document["sources"]
    assert (checked["key"], checked["error"], checked["explanation"]["outcome"]) == (KEY.decode(), None, "read")
    assert (unknown["match"], unknown["key"], unknown["explanation"]) == ("x-*", None, None)


async def test_a_refresh_waits_for_an_instance_and_tells_the_result(
    app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    refresher = Refresher()
    refresher.look_after(lambda: app)
    try:
        await app.redis.set(KEY, json.dumps([{"t": 1_767_225_600_000, "v": 7}]), ex=300)
        await charts.react(app, [KEY], cause("set"))
        assert await command._refresh(app, name="co2-flow:realtime") == Exit.OK
        fetched = capsys.readouterr().out
        assert fetched.startswith("fabric:data:chart:co2-flow:realtime: fetched from http://127.0.0.1:")
        assert json.loads(await app.redis.get(KEY) or b"")[-1]["v"] == 1.0
        await command._list(app, stale=False, limit=100, cursor="0", json=True)
        document = json.loads(capsys.readouterr().out)
        states = [(view["match"], view["state"]) for view in document["sources"]]
        assert states == [("co2-flow:realtime", "ok"), ("x-*", "unknown")]
        assert document["charts"][0]["refresh"]["watched"] is True
        assert list(faults(document)) == []
        assert await command._refresh(app, name="co2-flow:realtime", json=True) == Exit.OK
        result = json.loads(capsys.readouterr().out)
        assert list(faults(result)) == []
        assert (result["key"], result["fetched"], result["error"]) == (KEY.decode(), True, None)
        await command._list(app, stale=False, limit=100, cursor="0", json=False)
        assert "watched" in capsys.readouterr().out
    finally:
        await refresher.stop(app)


async def test_a_refresh_does_not_wait_for_a_source_that_is_left_alone(
    app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {"failures": 5, "closed": round(time.time() * 1000) + 600_000}
    await app.redis.hset(refresh.state_key(app.settings.sources.entries[0]), mapping=state)
    started_s = time.monotonic()
    assert await command._refresh(app, name="co2-flow:realtime") == Exit.ATTENTION
    assert time.monotonic() - started_s < 5
    assert "its source is left alone for" in capsys.readouterr().err


async def test_a_chart_that_does_not_expire_is_not_replaced(app: App) -> None:
    await app.redis.set(KEY, "[]")
    with pytest.raises(Refused, match="does not expire"):
        await command._refresh(app, name="co2-flow:realtime")


async def test_a_chart_without_a_source_is_refused(app: App) -> None:
    for name, reason in (("other:d", "no source of CHART_SOURCES"), ("other", "not the name of a chart")):
        with pytest.raises(Refused, match=reason):
            await command._refresh(app, name=name)
