"""Rows below members: what web frameworks and APIs wrap around them: web forms."""

from typing import Any

from kit import epoch_ms, iso, rename

from envelopes.readings import ROWS, TRUTH, theme

edges = [{"cursor": f"YXJyYXk6{i}", "node": {**row, "__typename": "Reading"}} for i, row in enumerate(ROWS)]
api = [
    {"type": "readings", "id": str(i + 1), "attributes": row, "links": {"self": f"/readings/{i + 1}"}}
    for i, row in enumerate(ROWS)
]
# members that hold the values of a row in some of the forms: a reader may keep them in the names
PARTS = ("fields", "attributes", "node")
forms: list[tuple[str, str, str, Any]] = [
    (
        "b",
        "GraphQL relay connection",
        "GraphQL Cursor Connections Specification",
        {
            "data": {
                "plant": {
                    "readings": {
                        "edges": edges,
                        "pageInfo": {"hasNextPage": False, "endCursor": "YXJyYXk6MjM="},
                        "totalCount": 24,
                    }
                }
            },
            "extensions": {"tracing": {"version": 1, "duration": 91823}},
        },
    ),
    (
        "c",
        "GraphQL nodes and errors",
        "GraphQL specification, response format",
        {"errors": [], "data": {"allReadings": {"nodes": ROWS, "totalCount": 24}}},
    ),
    (
        "bc",
        "JSON:API",
        "JSON:API 1.1, document structure",
        {
            "jsonapi": {"version": "1.1"},
            "links": {"self": "/readings", "next": None},
            "data": api,
            "meta": {"total": 24},
        },
    ),
    (
        "b",
        "HAL",
        "JSON Hypertext Application Language draft",
        {
            "_links": {"self": {"href": "/readings"}, "next": {"href": "/readings?page=2"}},
            "count": 24,
            "total": 480,
            "_embedded": {"readings": [{"_links": {"self": {"href": f"/r/{i}"}}, **row} for i, row in enumerate(ROWS)]},
        },
    ),
    (
        "c",
        "Spring Data page",
        "Spring Data Page as JSON",
        {
            "content": ROWS,
            "pageable": {"pageNumber": 0, "pageSize": 24, "offset": 0, "paged": True, "sort": {"sorted": True}},
            "last": True,
            "totalPages": 1,
            "totalElements": 24,
            "size": 24,
            "number": 0,
            "numberOfElements": 24,
            "first": True,
            "empty": False,
        },
    ),
    (
        "b",
        "OData v4",
        "OData JSON Format 4.01",
        {
            "@odata.context": "https://plant.example/$metadata#Readings",
            "@odata.count": 24,
            "value": [{"@odata.etag": f'W/"{i}"', **row} for i, row in enumerate(ROWS)],
            "@odata.nextLink": "Readings?$skiptoken=24",
        },
    ),
    (
        "c",
        "OData v2",
        "OData Version 2 JSON format",
        {
            "d": {
                "results": [
                    {
                        "__metadata": {"uri": f"Readings({i})", "type": "Plant.Reading"},
                        "ts": f"/Date({epoch_ms(row['ts'])})/",
                        "temp": str(row["temp"]),
                        "pressure_bar": str(row["pressure_bar"]),
                    }
                    for i, row in enumerate(ROWS)
                ],
                "__count": "24",
            }
        },
    ),
    (
        "bc",
        "Fabric API for GraphQL",
        "Microsoft Fabric API for GraphQL, list query",
        {"data": {"sensorReadings": {"items": ROWS, "hasNextPage": True, "endCursor": "W3siRW50aXR5TmFtZSI6IiJ9XQ=="}}},
    ),
    (
        "b",
        "Celery result of a task",
        "Celery result backend document",
        {
            "status": "SUCCESS",
            "result": {"rows": ROWS, "took_ms": 18},
            "traceback": None,
            "children": [],
            "date_done": "2026-07-01T06:10:00.123456+00:00",
            "task_id": "5f0c7b1e-8a0e-4b0a-9f5e-3b1f2d9a77aa",
        },
    ),
    (
        "c",
        "four levels deep",
        "hand-written service",
        {"response": {"body": {"payload": {"content": {"rows": ROWS}}}}},
    ),
    (
        "b",
        "small second table beside",
        "hand-written service",
        {"units": [{"name": "temp", "unit": "°C"}, {"name": "pressure_bar", "unit": "bar"}], "data": ROWS},
    ),
    (
        "c",
        "units by name and thresholds beside",
        "hand-written service",
        {
            "units": {"temp": "°C", "pressure_bar": "bar"},
            "thresholds": {"temp": 60, "pressure_bar": 3},
            "points": ROWS,
        },
    ),
    (
        "b",
        "errors beside",
        "hand-written service",
        {"ok": True, "errors": [], "warnings": ["late"], "readings": ROWS},
    ),
    (
        "c",
        "schema beside data",
        "hand-written service",
        {
            "schema": [
                {"name": "ts", "type": "timestamp"},
                {"name": "temp", "type": "double"},
                {"name": "pressure_bar", "type": "double"},
            ],
            "data": [list(row.values()) for row in ROWS],
        },
    ),
    (
        "b",
        "status failed beside rows",
        "hand-written service",
        {"batchId": "b-9", "status": "failed", "attempt": 3, "readings": ROWS},
    ),
    (
        "bc",
        "CloudEvents",
        "CloudEvents 1.0 JSON format",
        {
            "specversion": "1.0",
            "id": "a-77",
            "type": "plant.readings",
            "source": "/line/1",
            "time": "2026-07-01T06:00:09Z",
            "datacontenttype": "application/json",
            "data": {"readings": ROWS},
        },
    ),
    ("c", "JSON-RPC", "JSON-RPC 2.0", {"jsonrpc": "2.0", "id": 41, "result": {"series": ROWS}}),
    ("b", "key by device", "hand-written service", {"deviceId": "line-1", "fw": "2.4.1", "measurements": ROWS}),
    (
        "c",
        "axios response",
        "axios response schema",
        {
            "data": ROWS,
            "status": 200,
            "statusText": "OK",
            "headers": {"content-length": "1800", "age": "12"},
            "config": {"timeout": 5000, "maxContentLength": -1},
        },
    ),
    (
        "b",
        "node-mssql result",
        "node-mssql result object",
        {"recordsets": [ROWS], "recordset": ROWS, "output": {}, "rowsAffected": [24]},
    ),
    (
        "c",
        "node-postgres result",
        "node-postgres Result object",
        {
            "command": "SELECT",
            "rowCount": 24,
            "oid": None,
            "rows": ROWS,
            "fields": [
                {
                    "name": "ts",
                    "tableID": 16385,
                    "columnID": 1,
                    "dataTypeID": 1184,
                    "dataTypeSize": 8,
                    "dataTypeModifier": -1,
                    "format": "text",
                },
                {
                    "name": "temp",
                    "tableID": 16385,
                    "columnID": 2,
                    "dataTypeID": 701,
                    "dataTypeSize": 8,
                    "dataTypeModifier": -1,
                    "format": "text",
                },
            ],
        },
    ),
    (
        "c",
        "Strapi v4",
        "Strapi REST API, response format",
        {
            "data": [
                {"id": 300 + i, "attributes": {**row, "createdAt": iso("2026-07-02T00:00:00Z", 3)}}
                for i, row in enumerate(ROWS)
            ],
            "meta": {"pagination": {"page": 1, "pageSize": 25, "pageCount": 1, "total": 24}},
        },
    ),
    (
        "b",
        "Airtable",
        "Airtable Web API, list records",
        {
            "records": [
                {"id": f"rec{i:014d}", "createdTime": iso("2026-07-02T00:00:00Z", 3), "fields": row}
                for i, row in enumerate(ROWS)
            ],
            "offset": "itr/rec",
        },
    ),
]
for kinds, name, source, document in forms:
    theme.add(kinds, name, source, document, TRUTH, alt=[rename(TRUTH, f"{part}.{{}}".format) for part in PARTS])
