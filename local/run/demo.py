"""Sample traffic of all three kinds, as the real clients write it, and what came of each sample."""

import asyncio
import json
import math
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from redis.asyncio import Redis

from shared import namespaces, settings
from shared.app import App
from shared.clock import iso_utc
from shared.delivery import dead_letters
from shared.privacy.masking import fingerprint, mask_key
from shared.store.connection import open_client, parse_connection_string

DEADLINE_S = 10.0
"""How long a sample may take; a reaction takes some milliseconds, the first of a fresh worker some hundred."""
POLL_S = 0.002
METRICS = {"demo_co2": (1.2, 0.05), "demo_flow": (30.0, 0.6), "demo_temp": (24.1, 0.2), "demo_ph": (7.1, 0.03)}
"""Mean and standard deviation of the sample readings. The names are no real metric's: they teach the baseline."""


@dataclass(frozen=True)
class Row:
    """One sample: what was written, what was to come of it, what did."""

    sample: str
    key: str
    expected: str
    outcome: str
    ms: float
    ok: bool


@dataclass
class DemoReport:
    rows: list[Row] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return bool(self.rows) and all(row.ok for row in self.rows)


type Probe = Callable[[], Awaitable[str | None]]
"""Looks for an effect: a few words about it once it is there, None before."""


@dataclass(frozen=True)
class _Demo:
    redis: Redis
    audit_key: str
    report: DemoReport
    run: str = field(default_factory=lambda: secrets.token_hex(3))
    chance: random.Random = field(default_factory=random.Random)

    async def sample(self, name: str, key: bytes, write: Awaitable[Any], expected: str, probe: Probe) -> None:
        """Write one sample and wait until its effect is there."""
        started = time.perf_counter()
        await write
        outcome = None
        while outcome is None and time.perf_counter() - started < DEADLINE_S:
            outcome = await probe()
            if outcome is None:
                await asyncio.sleep(POLL_S)
        self.report.rows.append(
            Row(
                sample=name,
                key=mask_key(key, self.audit_key),
                expected=expected,
                outcome=outcome or f"nothing within {DEADLINE_S:.0f} s",
                ms=(time.perf_counter() - started) * 1000,
                ok=outcome is not None and expected in outcome,
            )
        )


async def run_demo(connection_string: str) -> DemoReport:
    """Write the samples one after the other and report on each.

    What it wrote and what came of it is removed at the end, but for what is there to stay: audit records, and the
    demo's own metrics in the baseline. As any chart update, the demo's deletes the query caches that depend on charts.
    """
    async with _demo(connection_string) as demo:
        await _batches(demo)
        await _charts(demo)
        await _sessions(demo)
        return demo.report


@asynccontextmanager
async def _demo(connection_string: str) -> AsyncIterator[_Demo]:
    redis = open_client(parse_connection_string(connection_string))
    demo = _Demo(redis, settings.current().audit_key, DemoReport())
    try:
        yield demo
    finally:
        app = App(settings.current(), redis)
        for letter in (await dead_letters.list_page(app, limit=dead_letters.MAX_PAGE)).letters:
            if f"demo-{demo.run}".encode() in letter.key:
                await dead_letters.discard(app, letter.id)
        written = [key async for key in redis.scan_iter(match=f"*demo-{demo.run}*", count=1000)]
        if written:
            await redis.unlink(*written)
        await redis.aclose()


# Batches


async def _batches(demo: _Demo) -> None:
    async def result_of(batch_id: str) -> dict[str, Any] | None:
        raw = await demo.redis.get(namespaces.build(namespaces.RESULT, batch_id))
        return json.loads(raw) if raw else None

    async def send(name: str, batch_id: str, write: Callable[[bytes], Awaitable[Any]], expected: str) -> None:
        async def probe() -> str | None:
            found = await result_of(batch_id)
            if found is None:
                return None
            where = ", ".join(f"{one['metric']} {one['value']} at {one['sensorId']}" for one in found["anomalies"][:2])
            return f"{found['readings']} readings, {len(found['anomalies'])} anomalies" + (where and f": {where}")

        key = namespaces.build(namespaces.BATCH, batch_id)
        await demo.sample(name, key, write(key), expected, probe)

    def text(value: object) -> Callable[[bytes], Awaitable[Any]]:
        return lambda key: demo.redis.set(key, json.dumps(value), ex=namespaces.TEMP_DATA_TTL_S)

    first = f"demo-{demo.run}-1"
    await send("batch, wide records", first, text({"batchId": first, "records": _records(demo, 25)}), "100 readings")
    planted = _long(demo, 25)
    planted[33] |= {"metric": "demo_temp", "sensorId": "T-07", "value": 61.5}
    await send(
        "batch with a planted anomaly", f"demo-{demo.run}-2", text({"readings": planted}), "demo_temp 61.5 at T-07"
    )
    rows = [json.dumps(row) for row in _records(demo, 10)]
    await send("batch as a list", f"demo-{demo.run}-3", lambda key: _pushed(demo, key, rows), "40 readings")
    fields = {"batchId": "x", "records": json.dumps(_records(demo, 5))}
    await send("batch as a hash", f"demo-{demo.run}-4", lambda key: _hashed(demo, key, fields), "20 readings")

    # A rejection writes no result; the lane is sequential, so once the next batch has its result, it is over.
    broken = f"demo-{demo.run}-5"
    after = f"demo-{demo.run}-6"

    async def write_both() -> None:
        await demo.redis.set(namespaces.build(namespaces.BATCH, broken), '{"records":[{"times', ex=60)
        await text(_records(demo, 1))(namespaces.build(namespaces.BATCH, after))

    async def probe_broken() -> str | None:
        if await result_of(after) is None:
            return None
        return "rejected, no result" if await result_of(broken) is None else "a result"

    key = namespaces.build(namespaces.BATCH, broken)
    await demo.sample("batch cut short", key, write_both(), "rejected, no result", probe_broken)


def _records(demo: _Demo, count: int) -> list[dict[str, Any]]:
    return [
        {"timestamp": _ago(count - number), "data": {name: _value(demo, name) for name in METRICS}}
        for number in range(count)
    ]


def _long(demo: _Demo, count: int) -> list[dict[str, Any]]:
    return [
        {"sensorId": f"{name[5].upper()}-01", "metric": name, "ts": _ago(count - number), "value": _value(demo, name)}
        for number in range(count)
        for name in METRICS
    ]


def _value(demo: _Demo, metric: str) -> float:
    return round(demo.chance.gauss(*METRICS[metric]), 4)


def _ago(seconds: int) -> str:
    return iso_utc(time.time() - seconds)


async def _pushed(demo: _Demo, key: bytes, elements: list[str]) -> None:
    await demo.redis.rpush(key, *elements)
    await demo.redis.expire(key, namespaces.TEMP_DATA_TTL_S)


async def _hashed(demo: _Demo, key: bytes, fields: dict[str, str]) -> None:
    await demo.redis.hset(key, items=[part for pair in fields.items() for part in pair])
    await demo.redis.expire(key, namespaces.TEMP_DATA_TTL_S)


# Charts


async def _charts(demo: _Demo) -> None:
    chart = (f"demo-{demo.run}", "realtime")
    source = namespaces.build(namespaces.CHART_DATA, *chart)
    query = namespaces.build(namespaces.QUERY_CACHE, "plant-overview")
    seen: set[str] = set()

    async def cache() -> dict[str, Any] | None:
        raw = await demo.redis.get(namespaces.build(namespaces.CHART_CACHE, *chart))
        return json.loads(raw) if raw else None

    async def refreshed() -> str | None:
        found = await cache()
        if found is None or found["sourceDigest"] in seen:
            return None
        seen.add(found["sourceDigest"])
        drawn = len(found["series"][0]["points"])
        gone = "" if await demo.redis.exists(query) else ", query cache deleted"
        return f"{len(found['series'])} series, {found['points']} points to {drawn}{gone}"

    async def marked_stale() -> str | None:
        found = await cache()
        return "cache kept, marked stale" if found and found["stale"] else None

    async def write(count: int) -> None:
        await demo.redis.set(query, "{}", ex=namespaces.QUERY_CACHE_TTL_S, nx=True)
        rows = [
            {"timestamp": _ago(count - number), "co2Flow": round(1.2 + math.sin(number / 40) / 5, 4), "waterFlow": 30.1}
            for number in range(count)
        ]
        await demo.redis.set(source, json.dumps(rows), ex=namespaces.CHART_DATA_TTL_S)

    await demo.sample("chart written", source, write(2000), "query cache deleted", refreshed)
    await demo.sample("chart updated", source, write(300), "query cache deleted", refreshed)
    await demo.sample("chart gone", source, demo.redis.delete(source), "marked stale", marked_stale)


# Sessions


async def _sessions(demo: _Demo) -> None:
    token = secrets.token_hex(16)
    user = f"demo-{demo.run}"
    key = namespaces.build(namespaces.SESSION, token)
    index = namespaces.build(namespaces.SESSION_BY_USER, user)
    subject = fingerprint(token.encode(), demo.audit_key)
    stream = namespaces.build(namespaces.AUDIT_STREAM)
    before = cast("list[tuple[bytes, Any]]", await demo.redis.xrevrange(stream, count=1))
    last = before[0][0] if before else b"-"

    def recorded(kind: str) -> Probe:
        async def probe() -> str | None:
            entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", await demo.redis.xrange(stream, min=last))
            for _, fields in entries:
                event: dict[str, Any] = json.loads(fields[b"event"])
                if event["subject"] == subject and event["type"] == f"nextauth.session.{kind}":
                    reason = event["data"].get("reason")
                    return f"{event['type']}, {reason}" if reason else str(event["type"])
            return None

        return probe

    async def write(who: str) -> None:
        expires = iso_utc(time.time() + 3600)
        session = {"sessionToken": token, "userId": who, "expires": expires}
        await demo.redis.set(key, json.dumps(session))
        await demo.redis.set(index, key)

    async def logout() -> None:
        await demo.redis.delete(key, index)

    created, changed = write(user), write(f"{user}-b")
    await demo.sample("session, login", key, created, "nextauth.session.created", recorded("created"))
    await demo.sample("session, another user", key, changed, "nextauth.session.changed", recorded("changed"))
    await demo.sample("session, logout", key, logout(), "nextauth.session.ended, logout", recorded("ended"))
