"""The paths of the OpenAPI document about charts."""

from typing import Any

import msgspec

from shared.operations import chart_list
from shared.operations.openapi_parts import AWAY, BAD, integer, json, operation, query


class Scheduled(msgspec.Struct):
    """The chart is fetched as soon as an instance takes it."""

    scheduled: bool


CHART_CACHE = {
    "type": "object",
    "description": "A chart ready to draw: see docs/charts.md.",
    "properties": {
        "stale": {"type": "boolean"},
        "sourceDigest": {"type": "string"},
        "revision": {"type": "integer"},
        "staleSince": {"type": ["string", "null"]},
        "chartId": {"type": "string"},
        "dataType": {"type": "string"},
        "updatedAt": {"type": "string"},
        "points": {"type": "integer"},
        "series": {"type": "array", "items": {"type": "object"}},
        "stats": {"type": "object"},
        "x": {"enum": ["time", "number", "category"]},
        "rejected": {"type": "object"},
    },
    "required": ["stale", "sourceDigest", "chartId", "dataType", "updatedAt", "points", "series", "stats", "x"],
}


def paths() -> dict[str, Any]:
    """The paths of charts."""
    text = {"schema": {"type": "string"}}
    headers = {
        "ETag": text | {"description": "Digest of the source's content, for If-None-Match"},
        "Chart-Stale": text | {"description": "Whether the source is gone: the data are the last good ones"},
        "Chart-Stale-Since": text | {"description": "Since when"},
    }
    chart = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in ("chartId", "dataType")
    ]
    missing = {"404": json("There is no cache of this chart; Retry-After where its source is asked now", "Error")}
    preflight = {
        "204": {"description": "Whether a page of this origin may ask (CORS)"},
        "404": {"description": "The host knows no such path"},
    }
    return {
        "/api/charts": {
            "get": operation(
                "charts",
                "Charts with age, TTL, state and source; and the state of the sources",
                {"200": json("A page of charts, newest first", "Charts"), **BAD, **AWAY},
                parameters=[
                    query("cursor", {"type": "string", "pattern": "^[0-9]{0,19}$"}, "`cursor` of the previous page"),
                    integer("limit", 100, chart_list.MAX_PAGE, "About how many"),
                ],
            ),
            "options": operation("chartsPreflight", "CORS", preflight, anonymous=True),
        },
        "/api/charts/{chartId}/{dataType}": {
            "get": operation(
                "chart",
                "A chart ready to draw; keeps it warm where it has a source",
                {
                    "200": json("The chart", "ChartCache") | {"headers": headers},
                    "304": {"description": "The chart is the one that If-None-Match names", "headers": headers},
                    **missing,
                    **AWAY,
                },
                parameters=chart,
            ),
            "options": operation("chartPreflight", "CORS", preflight, parameters=chart, anonymous=True),
        },
        "/api/charts/{chartId}/{dataType}/refresh": {
            "post": operation(
                "refreshChart",
                "Have a chart fetched from its source now",
                {
                    "202": json("It is fetched as soon as an instance takes it", "Scheduled"),
                    **missing,
                    "409": json("The chart has no source, does not expire, or its key holds no chart", "Error"),
                    **AWAY,
                },
                parameters=chart,
            )
        },
    }
