"""The sources in docs/charts.md, each against a stand-in that answers as the documentation of the real one says."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fastapi import Request, Response
from fastapi.responses import JSONResponse

from shared.app import App
from shared.charts import refresh, schedule
from shared.errors import SourceDown
from shared.reading.read import read_chart
from shared.settings import Settings, parse
from tests.support.chart_source import ChartSource, serving

DOCUMENT = Path(__file__).parents[2] / "docs" / "charts.md"
TIMES = [f"2026-01-01T00:00:0{second}Z" for second in range(3)]
VALUES = [1.5, 2.25, 3.0]
KUSTO_COLUMNS = [
    {"ColumnName": "Timestamp", "DataType": "DateTime", "ColumnType": "datetime"},
    {"ColumnName": "Flow", "DataType": "Double", "ColumnType": "real"},
]
ANSWERS: dict[str, Any] = {
    "FastAPI or Next.js": [{"timestamp": at, "co2Flow": value} for at, value in zip(TIMES, VALUES, strict=True)],
    "Fabric API for GraphQL": {
        "data": {"readings": {"items": [{"time": at, "flow": value} for at, value in zip(TIMES, VALUES, strict=True)]}}
    },
    "Power BI executeQueries": {
        "results": [
            {
                "tables": [
                    {
                        "rows": [
                            {"Readings[Time]": at.removesuffix("Z"), "[Flow]": value}
                            for at, value in zip(TIMES, VALUES, strict=True)
                        ]
                    }
                ]
            }
        ]
    },
    "Kusto": {
        "Tables": [
            {
                "TableName": "Table_0",
                "Columns": KUSTO_COLUMNS,
                "Rows": [[at, value] for at, value in zip(TIMES, VALUES, strict=True)],
            }
        ]
    },
}
BAD_ANSWERS: dict[str, Any] = {
    "Fabric API for GraphQL": {"data": {"readings": None}, "errors": [{"message": "x", "path": ["readings"]}]},
    "Power BI executeQueries": {
        "results": [
            {"tables": [{"rows": [{"[Flow]": 1}]}], "error": {"code": "x", "message": "More than 100000 rows"}}
        ],
    },
    "Kusto": {
        "Tables": [{"TableName": "Table_0", "Columns": KUSTO_COLUMNS, "Rows": [[TIMES[0], 1.5]]}],
        "Exceptions": ["Query execution has exceeded the allowed limits"],
    },
}
EXPECTED_BODIES = {
    "FastAPI or Next.js": None,
    "Fabric API for GraphQL": {"variables": {"chart": "co2-flow"}},
    "Power BI executeQueries": {"serializerSettings": {"includeNulls": True}},
    "Kusto": {"db": "Plant"},
}


def examples() -> dict[str, dict[str, Any]]:
    """The sources that docs/charts.md shows, by the heading above each."""
    found = re.findall(
        r"^\*\*(.+?)\*\*.*?\n\n```json\n(.+?)```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return {name: json.loads(text) for name, text in found if '"match"' in text}


@pytest.fixture
async def source() -> AsyncIterator[ChartSource]:
    source = ChartSource()
    async with serving(source.app) as source.port:
        yield source


def settings(base: Settings, name: str, source: ChartSource) -> Settings:
    """The example, led to the stand-in. The scope is checked, and then left out: test_client.py fetches tokens."""
    example = examples()[name]
    host = re.search(r"://([^/]+)/", example["url"])
    assert host
    values = {"CHART_API_KEY": "key"}
    parse({"CHART_SOURCES": json.dumps([example]), "CHART_SOURCE_HOSTS": host[1], **values})
    assert example.pop("scope", None) or name == "FastAPI or Next.js"
    example["url"] = source.url
    return msgspec.structs.replace(
        base,
        chart_sources=json.dumps([example]),
        chart_source_hosts="127.0.0.1",
        chart_secrets=tuple(values.items()),
    )


async def fetch(app: App) -> bytes:
    chart = schedule.chart_of(app, b"fabric:data:chart:co2-flow:realtime")
    assert chart
    try:
        return await refresh.fetched(app, chart)
    finally:
        await refresh.close(app)


@pytest.mark.parametrize("name", ANSWERS)
async def test_the_example_of_the_documentation_gives_a_chart(app: App, source: ChartSource, name: str) -> None:
    async def answer(*_: Any) -> Response:
        body = json.dumps(ANSWERS[name]).encode()
        mark = b"\xef\xbb\xbf" if name.startswith("Power BI") else b""
        return Response(mark + body, media_type="application/json")

    source.answer = answer
    content = await fetch(App(settings(app.settings, name, source), app.redis))
    (series,) = read_chart(content).series.values()
    assert list(series.values) == VALUES
    assert list(series.x) == [1_767_225_600_000 + 1000 * second for second in range(3)]
    if expected := EXPECTED_BODIES[name]:
        (body,) = source.bodies
        assert body | expected == body
        assert "co2-flow" in json.dumps(body)
        assert "{chartId}" not in json.dumps(body)


@pytest.mark.parametrize("name", BAD_ANSWERS)
async def test_an_error_within_an_answer_with_status_200_counts_as_down(
    app: App, source: ChartSource, name: str
) -> None:
    async def answer(request: Request, *_: Any) -> Response:
        return JSONResponse(BAD_ANSWERS[name])

    source.answer = answer
    with pytest.raises(SourceDown, match="reports an error"):
        await fetch(App(settings(app.settings, name, source), app.redis))
