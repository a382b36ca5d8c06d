"""CPU time of reading 100 readings (shared/reading/), per dialect, beside the documented shape in the same run."""

import base64
import csv
import gzip
import io
import json
import timeit
from collections.abc import Callable
from typing import Any

import msgspec

from bench import work
from bench.trial import Figures, Plan, Size, Trial
from shared.reading.read import read_batch

REPEATS = {Size.FULL: 200, Size.QUICK: 2}

type Rows = list[dict[str, Any]]


def trials(plan: Plan) -> list[Trial]:
    def trial(name: str) -> Trial:
        async def measure() -> Figures:
            return reading(name, REPEATS[plan.size])

        return Trial("dialects", "app", f"dialect={name}", measure)

    return [trial(name) for name in DIALECTS]


def reading(name: str, repeats: int) -> Figures:
    """CPU time to read a payload of a dialect; raises Rejected if it cannot be read."""
    documented_s = _best_s(work.batch(1), repeats)
    best_s = _best_s(DIALECTS[name](_rows()), repeats)
    return {"read_us": best_s * 1e6, "times_documented": best_s / documented_s}


def _best_s(payload: bytes, repeats: int) -> float:
    """The least time of one read: the interpreter is otherwise idle, so more is other work of the machine."""
    count = sum(len(line.values) for line in read_batch("string", [payload]).series.values())
    if count != work.ROWS * len(work.METRICS):
        raise ValueError(f"{count} readings")
    return min(timeit.repeat(lambda: read_batch("string", [payload]), number=1, repeat=repeats))


def _rows() -> Rows:
    records = json.loads(work.batch(1))["records"]
    return [{"time": record["timestamp"], **record["data"]} for record in records]


def _long(rows: Rows) -> Rows:
    return [{"tag": name, "val": row[name], "at": row["time"]} for row in rows for name in work.METRICS]


def _csv(rows: Rows, mark: str = ",") -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=mark)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _german_csv(rows: Rows) -> bytes:
    return _csv(
        [
            {name: str(value).replace(".", ",") if name != "time" else value for name, value in row.items()}
            for row in rows
        ],
        ";",
    )


def _columns(rows: Rows) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _senml(rows: Rows) -> bytes:
    first = {"bn": "urn:dev:", "bt": 1_767_225_600}
    packs = [{"n": name, "v": row[name], "t": place} for place, row in enumerate(rows) for name in work.METRICS]
    return msgspec.json.encode([{**first, **packs[0]}, *packs[1:]])


def _influx(rows: Rows) -> bytes:
    lines = [
        f"plant,site=north {','.join(f'{name}={row[name]}' for name in work.METRICS)} {1_767_225_600 + place}000000000"
        for place, row in enumerate(rows)
    ]
    return "\n".join(lines).encode()


DIALECTS: dict[str, Callable[[Rows], bytes]] = {
    "flat rows": msgspec.json.encode,
    "long rows": lambda rows: msgspec.json.encode(_long(rows)),
    "rows in an envelope": lambda rows: msgspec.json.encode({"status": "ok", "data": {"items": rows, "total": 25}}),
    "columns": lambda rows: msgspec.json.encode(_columns(rows)),
    "header and rows": lambda rows: msgspec.json.encode([list(rows[0]), *(list(row.values()) for row in rows)]),
    "CSV": _csv,
    "CSV with decimal commas": _german_csv,
    "JSON lines": lambda rows: b"\n".join(map(msgspec.json.encode, rows)),
    "MessagePack": msgspec.msgpack.encode,
    "gzip of rows": lambda rows: gzip.compress(msgspec.json.encode(rows)),
    "base64 of rows": lambda rows: base64.b64encode(msgspec.json.encode(rows)),
    "JSON in JSON": lambda rows: msgspec.json.encode(msgspec.json.encode(rows).decode()),
    "SenML": _senml,
    "line protocol": _influx,
}
