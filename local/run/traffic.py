"""Continuous sample traffic for `./run --demo --loop`: batches and charts in the forms in which clients write them, and
the lives of sessions. Keys have a TTL, and the id of the run, by which the demo removes them."""

import asyncio
import base64
import gzip
import json
import math
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared import namespaces
from shared.clock import iso_utc

PERIOD_S = 1.0
ROWS = 25
STEP_S = 60
CHARTS = ("flow", "tank", "weather")
_MAX_SESSIONS = 6
_SESSION_TTL_S = 900
_AWAY_S = 2.0
METRICS = {"demo_co2": (1.2, 0.05), "demo_flow": (30.0, 0.6), "demo_temp": (24.1, 0.2), "demo_ph": (7.1, 0.03)}
"""Mean and standard deviation of the sample readings by metric. They update the baseline, so no real metric is used."""

type Row = tuple[float, Mapping[str, float]]
"""A time in seconds since 1970, and a value per metric."""


def sample_rows(chance: Random, count: int = ROWS) -> list[Row]:
    """Rows up to now, one per STEP_S."""
    now_s = time.time()
    return [
        (now_s - STEP_S * (count - number), {name: round(chance.gauss(*METRICS[name]), 4) for name in METRICS})
        for number in range(count)
    ]


def _flat(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{"timestamp": iso_utc(at_s), **values} for at_s, values in rows]


def _wide(rows: Sequence[Row]) -> str:
    return json.dumps({"records": [{"timestamp": iso_utc(at_s), "data": values} for at_s, values in rows]})


def _long(rows: Sequence[Row]) -> str:
    readings = [
        {"sensorId": f"{name[5].upper()}-01", "metric": name, "ts": iso_utc(at_s), "value": value}
        for at_s, values in rows
        for name, value in values.items()
    ]
    return json.dumps({"readings": readings})


def _csv(rows: Sequence[Row]) -> str:
    lines = [",".join(("timestamp", *METRICS))]
    lines += [",".join((iso_utc(at_s), *map(str, values.values()))) for at_s, values in rows]
    return "\n".join(lines) + "\n"


def _line_protocol(rows: Sequence[Row]) -> str:
    fields = [",".join(f"{name}={value}" for name, value in values.items()) for _, values in rows]
    return "\n".join(
        f"plant,tank=T1 {text} {round(at_s * 1000) * 1_000_000}" for (at_s, _), text in zip(rows, fields, strict=True)
    )


def _senml(rows: Sequence[Row]) -> str:
    base_s = round(rows[0][0])
    records: list[dict[str, Any]] = [
        {"n": name, "t": round(at_s) - base_s, "v": value} for at_s, values in rows for name, value in values.items()
    ]
    records[0] |= {"bt": base_s}
    return json.dumps(records)


def _columns(rows: Sequence[Row]) -> str:
    columns = {name: [values[name] for _, values in rows] for name in METRICS}
    return json.dumps({"timestamp": [iso_utc(at_s) for at_s, _ in rows], **columns})


DIALECTS: Mapping[str, Callable[[Sequence[Row]], str | bytes]] = {
    "wide records": _wide,
    "long records": _long,
    "JSON lines": lambda rows: "\n".join(map(json.dumps, _flat(rows))),
    "CSV": _csv,
    "line protocol": _line_protocol,
    "SenML": _senml,
    "columns": _columns,
    "MessagePack": lambda rows: msgspec.msgpack.encode(_flat(rows)),
    "gzip in base64": lambda rows: base64.b64encode(gzip.compress(json.dumps(_flat(rows)).encode())),
}
"""A batch in each form, by name."""


def chart_rows(step: int = 0) -> list[dict[str, Any]]:
    now_ms = time.time() * 1000
    return [
        {"timestamp": round(now_ms - 1000 * (300 - number)), "level": round(50 + 9 * math.sin((number + step) / 40), 3)}
        for number in range(300)
    ]


CHART_FORMS: Sequence[Callable[[int], Any]] = (
    chart_rows,
    lambda step: {"data": [{"name": "level", "data": [list(row.values()) for row in chart_rows(step)]}]},
    lambda step: {
        "labels": [iso_utc(row["timestamp"] / 1000) for row in chart_rows(step)],
        "datasets": [{"label": "level", "data": [row["level"] for row in chart_rows(step)]}],
    },
)
"""A chart in each form: rows; named lists of points; labels beside datasets."""


class Traffic:
    """Writes a few keys per second."""

    def __init__(self, redis: Redis, run_id: str) -> None:
        self._redis = redis
        self._run_id = run_id
        self._chance = Random()
        self._sessions: list[str] = []

    async def run(self) -> None:
        """Write until cancelled; while Redis is away, try again."""
        step = 0
        while True:
            try:
                await self._step(step)
            except (RedisError, OSError):
                await asyncio.sleep(_AWAY_S)
            step += 1
            await asyncio.sleep(PERIOD_S)

    async def _step(self, step: int) -> None:
        await self._write_batch(step)
        if step % 2 == 0:
            await self._write_chart(step // 2)
        if step % 3 == 0:
            await self._change_a_session()

    async def _write_batch(self, step: int) -> None:
        rows = sample_rows(self._chance)
        if step % 10 == 9:
            rows[-3] = (rows[-3][0], {**rows[-3][1], "demo_temp": 61.5})  # an anomaly
        key = namespaces.build(namespaces.BATCH, f"demo-{self._run_id}-loop-{step}")
        await self._redis.set(key, list(DIALECTS.values())[step % len(DIALECTS)](rows), ex=namespaces.TEMP_DATA_TTL_S)

    async def _write_chart(self, step: int) -> None:
        key = namespaces.build(namespaces.CHART_DATA, f"demo-{self._run_id}-{CHARTS[step % len(CHARTS)]}", "realtime")
        value = json.dumps(CHART_FORMS[step % len(CHART_FORMS)](step))
        await self._redis.set(key, value, ex=namespaces.CHART_DATA_TTL_S)

    async def _change_a_session(self) -> None:
        """Begin a session, refresh one, or end one."""
        choice = self._chance.random()
        if self._sessions and (choice < 0.2 or len(self._sessions) >= _MAX_SESSIONS):
            await self._redis.delete(self._sessions.pop(0))
            return
        if self._sessions and choice < 0.6:
            key = self._chance.choice(self._sessions)
        else:
            token = f"demo-{self._run_id}-{secrets.token_hex(12)}"
            key = namespaces.build(namespaces.SESSION, token).decode()
            self._sessions.append(key)
        await write_session(self._redis, key, f"demo-user-{len(self._sessions)}")


async def write_session(redis: Redis, key: str | bytes, user_id: str) -> None:
    """Write a session as NextAuth does; it expires, and its key with it."""
    name = key if isinstance(key, str) else key.decode()
    token = name.removeprefix(namespaces.SESSION.prefix.decode())
    session = {"sessionToken": token, "userId": user_id, "expires": iso_utc(time.time() + _SESSION_TTL_S)}
    await redis.set(name, json.dumps(session), ex=_SESSION_TTL_S)
