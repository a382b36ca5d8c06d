"""Sample documents of GET /api/monitor/data for the monitor page, with data in every part, or empty."""

import hashlib
import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.staged import parameters

MINUTES = 60
REACTORS = [
    {"name": "batches", "function": "process_fastapi_data", "noun": "batch"},
    {"name": "charts", "function": "update_charts", "noun": "chart"},
    {"name": "sessions", "function": "handle_session_changes", "noun": "session"},
]
REASONS = {
    "batches": ("Rejected", "records[3].timestamp is no time"),
    "charts": ("Rejected", "series 'co2Flow' has 3 values for 200 times"),
    "sessions": ("Rejected", "the value is no JSON object"),
}


def document(now: datetime) -> dict[str, Any]:
    """The document of a busy app at `now`; equal for equal times."""
    chance = random.Random(7)
    return {
        "time": iso(now),
        "reactors": REACTORS,
        "health": {
            "status": "degraded",
            "reasons": ["1240 keys wait for a retry", "audit records wait (312); the last export was 754 s ago"],
            "redis": {"roundTripMs": 0.412, "notifyKeyspaceEvents": "Kg$hlxe"},
            "trigger": {"state": "trigger", "behindS": {"process_fastapi_data": 0.003, "update_charts": 0.002}},
            "sweep": {
                "ageS": 12.4,
                "durationS": 3.1,
                "seen": 34_220,
                "found": 2,
                "workedAgeS": 1.2,
                "seenSince": 8_750,
            },
            "instances": [
                {"instance": "0b7d2c41-8211", "state": "trigger", "share": 0.517, "ageS": 0.4},
                {"instance": "5e19a0f3-7730", "state": "ear", "share": 0.483, "ageS": 0.9},
            ],
        },
        "stats": stats(now, chance),
        "effects": effects(now),
        "deadLetters": letters(now),
        "retries": {"waiting": 1240},
        "keyspace": keyspace(),
        "sessions": sessions(now, chance),
        "charts": charts(chance),
        "chartsTotal": 64,
        "chartSources": chart_sources(),
        "doctor": doctor(),
    }


def answers(now: datetime) -> dict[str, Any]:
    """What the app's other functions answer, by the end of their path; see Staged."""
    return {
        "/stats/history": lambda request: history(now, parameters(request)["range"]),
        "/events/dead-groups": {"groups": groups(now), "groupsTotal": 5},
        "/events/dead": lambda request: {
            "letters": letters_of(now, parameters(request)["group"], min(20, 43)),
            "nextCursor": "1:x",
        },
        "/keys/show": key_report(now),
        **{
            f"/events/dead/{letter['id']}": letter | {"explanation": explanation(), "payload": payload()}
            for letter in letters(now)["letters"]
        },
    }


def payload() -> dict[str, Any]:
    """The beginning of a payload, as GET /api/events/dead/{id} returns it."""
    text = '{"batchId":"plant-7","records":[{"timestamp":"soon","data":{"<b>temp</b>":"warm","token":"~masked"}}]}'
    return {"shape": "string", "parts": [text], "moreParts": 0, "cut": False}


def empty(now: datetime) -> dict[str, Any]:
    """The document of an app without any event."""
    start = now.replace(second=0, microsecond=0) - timedelta(minutes=MINUTES - 1)
    minutes = [
        {"minute": iso(start + timedelta(minutes=n)), "outcomes": {}, "latencyMs": {}, "lagMs": {}}
        for n in range(MINUTES)
    ]
    return {
        "time": iso(now),
        "reactors": REACTORS,
        "health": {"status": "ok", "reasons": [], "redis": {"roundTripMs": 0.3, "notifyKeyspaceEvents": "Kg$hlxe"}},
        "stats": {"from": iso(start), "to": iso(now), "minutes": minutes, "latencyMs": {}, "lagMs": {}},
        "effects": [],
        "deadLetters": {"letters": [], "nextCursor": None, "totals": {"count": 0, "bytes": 0, "dropped": 0}},
        "retries": {"waiting": 0},
        "keyspace": None,
        "sessions": {
            "live": 0,
            "unbounded": 0,
            "users": [],
            "usersTotal": 0,
            "audit": [],
            "export": {"pending": 0, "lastSuccessAgeS": None, "error": None, "chain": None, "seq": None},
        },
        "charts": [],
        "chartsTotal": 0,
        "chartSources": [],
        "doctor": {"ageS": 3, "findings": []},
    }


def iso(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def stats(now: datetime, chance: random.Random) -> dict[str, Any]:
    start = now.replace(second=0, microsecond=0) - timedelta(minutes=MINUTES - 1)
    minutes = []
    for n in range(MINUTES):
        share = (now.second + 1) / 60 if n == MINUTES - 1 else 1.0
        wave = 1 + 0.45 * math.sin(n / 9) + chance.uniform(-0.12, 0.12)
        busy = 2.4 if 34 <= n <= 38 else 1.0  # a burst, with retries in it
        batches = round(620 * wave * busy * share)
        minute: dict[str, Any] = {
            "minute": iso(start + timedelta(minutes=n)),
            "outcomes": {
                "batches": {
                    "event": {"processed": batches, "duplicate": batches // 40},
                    "sweep": {"duplicate": round(80 * share), "processed": 2 if n % 7 == 0 else 0},
                    "retry": {"retried": round(130 * share), "processed": 18} if busy > 1 else {},
                },
                "charts": {
                    "event": {"processed": round(240 * wave * share)},
                    "sweep": {"duplicate": round(14 * share)},
                },
                "sessions": {
                    "event": {"processed": round(32 * share * chance.uniform(0.5, 1.6))},
                    "schedule": {"processed": chance.choice([0, 0, 1, 3])},
                },
            },
        }
        if n in {11, 36, 37, 52}:
            minute["outcomes"]["batches"]["event"]["rejected"] = 45
        if n == 41:
            minute["outcomes"]["batches"]["retry"] = {"dead": 38}
        slow = 9.0 if busy > 1 else 1.0
        reactions = (("batches", 2.4), ("charts", 3.7), ("sessions", 0.75))
        for what, medians in (("latencyMs", reactions), ("lagMs", (("batches", 5.1), ("charts", 6.8)))):
            minute[what] = {
                name: {
                    "count": 100,
                    "p50": round(median * slow * chance.uniform(0.9, 1.15), 2),
                    "p99": round(median * 6 * slow * chance.uniform(0.8, 1.6), 2),
                }
                for name, median in medians
            }
        minutes.append(minute)
    return {
        "from": iso(start),
        "to": iso(now),
        "minutes": minutes,
        "latencyMs": {
            "batches": {"count": 41208, "p50": 2.37, "p95": 13.3, "p99": 178.0},
            "charts": {"count": 14377, "p50": 3.65, "p95": 10.0, "p99": 31.6},
            "sessions": {"count": 1934, "p50": 0.75, "p95": 1.78, "p99": 5.62},
        },
        "lagMs": {
            "batches": {"count": 41021, "p50": 5.62, "p95": 31.6, "p99": 1330.0},
            "charts": {"count": 14350, "p50": 7.5, "p95": 17.8, "p99": 56.2},
        },
    }


def history(now: datetime, of: str) -> dict[str, Any]:
    """The history of a range, as GET /api/stats/history returns it: busy by day, with a bad hour."""
    step_s, count = {"6h": (600, 36), "24h": (600, 144), "7d": (3600, 168)}[of]
    chance, last = random.Random(len(of)), int(now.timestamp()) // step_s
    bars = []
    for n in range(count):
        begin = datetime.fromtimestamp((last - count + 1 + n) * step_s, UTC)
        by_day = max(0.12, math.sin((begin.hour - 5) * math.pi / 14)) if 5 <= begin.hour <= 19 else 0.12
        weekend = 0.35 if begin.weekday() >= 5 else 1.0
        processed = round(step_s * 14 * by_day * weekend * chance.uniform(0.85, 1.1))
        outcomes: dict[str, Any] = {
            "batches": {"event": {"processed": processed, "duplicate": processed // 30}, "sweep": {"duplicate": 80}},
            "charts": {"event": {"processed": processed // 3}},
            "sessions": {"event": {"processed": processed // 20}},
        }
        if n == round(count * 0.7):
            outcomes["batches"]["event"]["rejected"] = processed // 6
            outcomes["batches"]["retry"] = {"retried": processed // 8, "dead": 38}
        bars.append({"time": iso(begin), "outcomes": outcomes})
    return {"range": of, "stepS": step_s, "to": iso(now), "bars": bars}


EFFECTS = [
    ("batches", "set", "processed", "fastapi:temp:data:plant-7-{n}", 2.41, None),
    ("charts", "set", "processed", "fabric:data:chart:co2-flow:realtime", 3.77, None),
    ("batches", "set", "processed", "fastapi:temp:data:line-3-{n}", 1.92, "41 readings, 2 anomalies"),
    ("sessions", "set", "processed", "nextauth:session:~7dbd06d02371", 0.8, "refreshed"),
    ("batches", "set", "rejected", "fastapi:temp:data:<img src=x onerror=alert(1)>", 0.9, "the value is not JSON"),
    ("batches", "retry", "retried", "fastapi:temp:data:import-0093", 20_000.0, "WorkTimeout"),
    ("sessions", "del", "processed", "nextauth:session:~3f9a1c07be52", 0.7, "ended: logout"),
    ("batches", "sweep", "processed", "fastapi:temp:data:plant-2-{n}", 2.2, None),
]


def effects(now: datetime, number: int = 60) -> list[dict[str, Any]]:
    """The newest effects of the feed."""
    names = ("reactor", "operation", "outcome", "key", "durationMs", "reason")
    rows = []
    for n in range(number):
        fields = dict(zip(names, EFFECTS[n % len(EFFECTS)], strict=True))
        at = now - timedelta(milliseconds=340 + 730 * n)
        effect_id = f"{int(at.timestamp() * 1000)}-0"
        rows.append({"id": effect_id, "time": iso(at), **fields, "key": str(fields["key"]).format(n=8412 - n)})
    return rows


def groups(now: datetime, factor: int = 1) -> list[dict[str, Any]]:
    """Dead letters by reason, as GET /api/events/dead-groups returns them; `factor` times as many as in `letters`."""
    counts = (21, 12, 8, 1, 1)
    return [
        {
            "reactor": letter["reactor"],
            "reason": f"{letter['error']}: {letter['message']}",
            "count": count * factor,
            "oldest": iso(now - timedelta(hours=5 + n)),
            "newest": letter["last"],
            "newestId": letter["id"],
            "newestKey": letter["key"],
        }
        for n, (letter, count) in enumerate(zip(letters(now)["letters"], counts, strict=True))
    ]


def letters_of(now: datetime, group: str, number: int = 20, start: int = 0) -> list[dict[str, Any]]:
    """Letters of one group, newest first."""
    first = next(row for row in letters(now)["letters"] if f"{row['error']}: {row['message']}" == group)
    rows = [first]
    for n in range(1, start + number):
        buried = now - timedelta(minutes=16 + 3 * n)
        rows.append(
            first
            | {"id": fingerprint(f"{group} {n}")[:32], "key": f"{first['key']}-{n}", "last": iso(buried)}
            | {"payloadBytes": (first["payloadBytes"] * (n + 7)) // 9}
        )
    return rows[start : start + number]


def key_report(now: datetime) -> dict[str, Any]:
    """What is known of a batch, as POST /api/keys/show returns it."""
    return {
        "key": "fastapi:temp:data:plant-7-8412",
        "exists": True,
        "namespace": "fastapi",
        "kind": "batch",
        "owner": "FastAPI",
        "purpose": "Temporary data",
        "tableTtlS": 3600,
        "redis": {"type": "string", "encoding": "raw", "length": 1843, "bytes": 2104, "ttlS": 3417.2, "idleS": 3},
        "app": {
            "batch": "fastapi:temp:data:plant-7-8412",
            "batchContent": "7c1f0f6d2a0b5e1c9f6a4d3b2e1f0a9b8c7d6e5f",
            "result": "of this content",
            "retry": "none",
        },
        "value": {
            "masked": False,
            "text": '{"records":[{"timestamp":"2026-11-22T13:00:00Z","data":{"<b>temp</b>":24.1',
        },
        "explanation": explanation()
        | {"outcome": "read", "reason": "", "path": "records", "shape": "rows", "rows": 20},
        "effects": [effect for effect in effects(now) if effect["key"] == "fastapi:temp:data:plant-7-8412"],
    }


def explanation() -> dict[str, Any]:
    """The explanation of a rejected chart, as GET /api/events/dead/{id} returns it."""
    return {
        "kind": "chart",
        "outcome": "rejected",
        "reason": "rows found at `result`, but no column of numbers: `<b>temp</b>` holds text",
        "bytes": 96_240,
        "encoding": ["base64", "gzip", "JSON"],
        "members": ["JSON"],
        "path": "",
        "shape": "",
        "rows": 0,
        "notes": [],
        "x": "",
        "columns": [
            {"name": "ts", "role": "time", "reason": "times under the name of a time", "values": 2},
            {"name": "<b>temp</b>", "role": "label", "reason": "texts", "values": 2},
        ],
        "series": [{"name": "co2", "unit": "ppm", "count": 2, "first": [["2026-11-22T13:00:00.000Z", "412.5"]]}],
        "seriesOmitted": 0,
        "rejected": {"an identifier is no measurement": 2},
        "tables": [{"path": "`result`", "shape": "rows", "rows": 2, "reason": "no column of numbers"}],
        "inputs": {"rows": "<JMESPath to the rows>", "time": "ts", "measures": ["temp"]},
        "glob": "fabric:data:chart:co2-flow:realtime",
    }


def letters(now: datetime) -> dict[str, Any]:
    keys = [
        ("batches", "fastapi:temp:data:plant-7-2026-11-22T13-41"),
        ("batches", "fastapi:temp:data:<img src=x onerror=alert(1)>"),
        ("charts", "fabric:data:chart:co2-flow:realtime"),
        ("sessions", "nextauth:session:~3f9a1c07be52"),
        ("batches", "fastapi:temp:data:import-0093"),
    ]
    rows = [
        {
            "id": fingerprint(key)[:32],
            "reactor": reactor,
            "key": key,
            "error": REASONS[reactor][0] if n != 4 else "WorkTimeout",
            "message": {1: "the value is not JSON", 4: "the analysis took longer than 20 s"}.get(
                n, REASONS[reactor][1]
            ),
            "attempts": 6 if n == 4 else 1,
            "first": iso(now - timedelta(minutes=17 + 31 * n)),
            "last": iso(now - timedelta(minutes=16 + 29 * n)),
            "payloadBytes": [18_432, 412, 96_240, 0, 7_340_032][n],
            "payloadKept": reactor != "sessions",
        }
        for n, (reactor, key) in enumerate(keys)
    ]
    return {"letters": rows, "nextCursor": "1:x", "totals": {"count": 43, "bytes": 3_984_220, "dropped": 0}}


def keyspace() -> dict[str, Any]:
    kinds = [
        ("fabric", "chart data", 64, 9_120_512, 0),
        ("fabric", "chart cache", 64, 2_310_144, 0),
        ("fabric", "query cache", 212, 611_904, 0),
        ("fabric", "user tokens", 418, 1_270_720, 0),
        ("fastapi", "batch", 31_870, 78_643_200, 0),
        ("fastapi", "result", 12_904, 21_233_664, 0),
        ("nextauth", "session", 1_283, 729_088, 41),
        ("nextauth", "session by user", 902, 138_240, 902),
        ("functions", "session phantom", 1_283, 512_000, 0),
        ("functions", "dead letters", 4, 3_984_220, 0),
        ("unknown", "unknown", 17, 4_096, 12),
    ]
    rows = [dict(zip(("namespace", "kind", "count", "bytes", "withoutTtl"), row, strict=True)) for row in kinds]
    return {"ageS": 38, "complete": True, "namespaces": rows}


def sessions(now: datetime, chance: random.Random) -> dict[str, Any]:
    transitions = [
        ("created", None, "set"),
        ("ended", "logout", "del"),
        ("refreshed", None, "set"),
        ("ended", "expired", "schedule"),
        ("unbounded", None, "set"),
        ("changed", None, "set"),
        ("ended", "lost", "sweep"),
    ]
    records = []
    for n in range(12):
        kind, reason, seen = transitions[n % len(transitions)]
        records.append(
            {
                "time": iso(now - timedelta(seconds=7 + 23 * n + chance.randrange(15))),
                "type": f"nextauth.session.{kind}",
                "subject": fingerprint(f"session {n % 5}")[:12],
                "userId": f"u-{1040 + n % 5}",
                "reason": reason,
                "detectedBy": seen,
            }
        )
    shipped = {"pending": 312, "lastSuccessAgeS": 754.0, "error": None, "chain": "9b1f6c02", "seq": 48_213}
    counts = (9, 7, 6, 4, 4, 3, 2, 2)
    users = [{"user": f"u-{1040 + n}" if n else "~5c1d7be20f3a", "sessions": count} for n, count in enumerate(counts)]
    return {"live": 1283, "unbounded": 41, "users": users, "usersTotal": 902, "audit": records, "export": shipped}


def charts(chance: random.Random) -> list[dict[str, Any]]:
    names = ["co2-flow", "water-temperature", "ph", "plant-overview", "energy", "brine-density", "compressor-3", "feed"]
    views = []
    for n, name in enumerate(names):
        level, line = chance.uniform(1, 90), []
        for step in range(60):
            level += chance.gauss(0, 1) + math.sin(step / 6 + n) * 0.7
            line.append(round(level, 3))
        data_type, stale = ["realtime", "hourly"][n % 2], n in {5, 7}
        error = "no answer within 10 s" if n == 5 else None
        refresh = {
            "source": "*",
            "watched": n < 4,
            "deleted": n == 7,
            "fetchedAgeS": 4.0,
            "dueInS": None if n == 7 else 24.0 * (n + 1),
            "failures": 3 if error else 0,
            "error": error,
        }
        views.append(
            {
                "key": f"fabric:cache:chart:{name}:{data_type}",
                "chartId": name,
                "dataType": data_type,
                "ttlS": 600.0 - n,
                "staleSince": "2026-11-23T01:00:00.000Z" if stale else None,
                "bytes": 20_000 + n,
                "refresh": None if n == 6 else refresh,
                "ageS": [2, 9, 14, 31, 74, 190, 420, 555][n],
                "stale": stale,
                "points": [2000, 720, 2000, 168, 960, 2000, 720, 44][n],
                "sparkline": line,
            }
        )
    return views


def chart_sources() -> list[dict[str, Any]]:
    source = {
        "match": "*",
        "origin": "https://api.example.com",
        "state": "ok",
        "error": None,
        "answeredAgeS": 3.0,
        "failedAgeS": 75.0,
        "restsForS": 0.0,
        "failures": 0,
        "charts": 61,
        "inFlight": 2,
    }
    resting = {"match": "plant-*", "origin": "https://api.powerbi.com", "state": "resting", "error": "HTTP 429"}
    return [source, source | resting | {"restsForS": 41.0, "failures": 5, "charts": 3, "inFlight": 0}]


def doctor() -> dict[str, Any]:
    return {
        "ageS": 42,
        "findings": [
            {"id": "connection", "severity": "ok", "found": "Redis answers in 0.4 ms", "why": "", "fix": ""},
            {
                "id": "eviction",
                "severity": "warning",
                "found": "maxmemory-policy is allkeys-lru",
                "why": "When memory is full, Redis may evict retries and dead letters, which are then lost.",
                "fix": "Set maxmemory-policy to volatile-ttl: it evicts only keys with a TTL, first what ends soonest.",
                "commands": ["redis-cli -h 127.0.0.1 -p 6379 config set maxmemory-policy volatile-ttl"],
            },
            {
                "id": "storage",
                "severity": "error",
                "found": "The storage account does not answer",
                "why": "Audit records stay in Redis, which keeps 1000000 of them; then the oldest go.",
                "fix": "Check AzureWebJobsStorage and the firewall of the storage account.",
            },
            {
                "id": "notifications",
                "severity": "info",
                "found": "The server does not let its notification flags be read",
                "why": "Azure blocks CONFIG, so the app cannot check them.",
                "fix": "In the portal, notify-keyspace-events has to hold Kg$hlxe.",
            },
            {"id": "version", "severity": "ok", "found": "Redis 7.2", "why": "", "fix": ""},
            {"id": "clock", "severity": "ok", "found": "The clocks differ by 3 ms", "why": "", "fix": ""},
        ],
    }
