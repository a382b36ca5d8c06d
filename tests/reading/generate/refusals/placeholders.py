"""What must not be read: formats refused by name, broken documents, errors, placeholders: placeholders."""

from typing import Any

from kit import iso

from refusals.readings import FRAME, ROWS, theme

waiting: list[tuple[str, str, str, Any]] = [
    ("bc", "id and status", "specification, clients.md", {"batchId": "b-17", "status": "processing"}),
    ("b", "state and null result", "hand-written service", {"state": "PENDING", "result": None}),
    (
        "b",
        "Celery pending",
        "Celery result document",
        {
            "status": "PENDING",
            "result": None,
            "traceback": None,
            "children": [],
            "date_done": None,
            "task_id": "6a1d8c2f",
        },
    ),
    (
        "b",
        "RQ job without a result",
        "RQ job.to_dict as JSON",
        {
            "created_at": iso(FRAME["ts"][0], 6),
            "origin": "default",
            "status": "queued",
            "timeout": 180,
            "result_ttl": 500,
            "description": "ingest(17)",
        },
    ),
    (
        "b",
        "progress",
        "hand-written service",
        {"batchId": "b-17", "status": "running", "progress": 0.4, "startedAt": ROWS[0]["ts"]},
    ),
    (
        "b",
        "queued with a position",
        "hand-written service",
        {"jobId": "j-9", "status": "queued", "position": 3, "attempt": 1},
    ),
    (
        "b",
        "id and a created time",
        "hand-written service",
        {"id": 17, "createdAt": ROWS[0]["ts"], "readings": None},
    ),
    (
        "b",
        "rows announced",
        "hand-written service",
        {"batchId": "b-17", "expected": 240, "received": 0, "readings": []},
    ),
    (
        "c",
        "DRF page without rows",
        "Django REST framework page",
        {"count": 0, "next": None, "previous": None, "results": []},
    ),
    (
        "c",
        "columns without rows",
        "pandas to_json split of an empty frame",
        {"columns": ["ts", "temp"], "index": [], "data": []},
    ),
    ("c", "Chart.js without data", "Chart.js documentation", {"labels": [], "datasets": []}),
    ("c", "Highcharts series without points", "Highcharts API", {"series": [{"name": "temp", "data": []}]}),
    ("b", "csv header only", "pandas to_csv of an empty frame", "ts,temp,co2\n"),
    ("b", "empty object", "hand-written service", {}),
    ("bc", "empty list", "hand-written service", []),
    ("b", "Keyv of null", "Keyv", {"value": None, "expires": 1795914857211}),
    (
        "c",
        "Elasticsearch without hits",
        "Elasticsearch Search API",
        {
            "took": 2,
            "timed_out": False,
            "_shards": {"total": 1, "successful": 1, "failed": 0},
            "hits": {"total": {"value": 0, "relation": "eq"}, "max_score": None, "hits": []},
        },
    ),
    (
        "c",
        "GraphQL without items",
        "Microsoft Fabric API for GraphQL",
        {"data": {"readings": {"items": [], "hasNextPage": False, "endCursor": None}}},
    ),
    (
        "c",
        "Prometheus without series",
        "Prometheus HTTP API",
        {"status": "success", "data": {"resultType": "matrix", "result": []}},
    ),
    (
        "b",
        "rows whose values are all null",
        "hand-written service",
        [{"ts": row["ts"], "temp": None} for row in ROWS],
    ),
    ("b", "heartbeat", "hand-written service", {"batchId": "b-17", "status": "alive", "ts": ROWS[0]["ts"]}),
    (
        "b",
        "lock",
        "hand-written service",
        {"locked": True, "owner": "worker-3", "pid": 4711, "until": ROWS[0]["ts"]},
    ),
]
doubtful = {
    "progress": "`progress` is no reading, although it is a number beside a time.",
    "queued with a position": "Bookkeeping numbers.",
    "RQ job without a result": "Bookkeeping numbers.",
    "rows announced": "Bookkeeping numbers.",
    "lock": "Bookkeeping numbers.",
    "DRF page without rows": "`count` is the envelope's.",
    "Elasticsearch without hits": "`took` is the envelope's.",
}
for kinds, name, source, payload in waiting:
    theme.add(kinds, f"placeholder: {name}", source, payload, None, refuse="placeholder", doubt=doubtful.get(name))
for name, payload in (
    ("null", b"null"),
    ("a number", b"42"),
    ("true", b"true"),
    ("empty", b""),
    ("a word", b"OK"),
    ("JSON text of a word", b'"pending"'),
    ("white space", b" \n "),
):
    theme.add("b", f"scalar: {name}", "hand-written service", payload, None, refuse="")
theme.add(
    "b",
    "placeholder: hash of status",
    "redis-py hset",
    [b"batchId", b"b-17", b"status", b"processing", b"worker", b"w3"],
    None,
    shape="hash",
    refuse="placeholder",
)
theme.add(
    "b",
    "placeholder: hash of status and numbers",
    "redis-py hset",
    [b"batch_id", b"17", b"status", b"queued", b"attempt", b"1"],
    None,
    shape="hash",
    refuse="placeholder",
)
theme.add(
    "c",
    "Next.js tags hash",
    "Next.js cache handler, __sharedTags__",
    [b"/charts", b'["charts","_N_T_/layout"]'],
    None,
    shape="hash",
    refuse="",
)
theme.add(
    "c",
    "Next.js revalidated tags hash",
    "Next.js cache handler, __revalidated_tags__",
    [b"charts", b"1772344800000"],
    None,
    shape="hash",
    refuse="",
    doubt="A time under the name of a tag is no chart.",
)
theme.add("b", "list of ids", "redis-py rpush", [b"b-17", b"b-18", b"b-19"], None, shape="list", refuse="")
