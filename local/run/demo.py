"""Writes sample batches, charts and sessions as the real clients do, and reports the effect of each."""

import asyncio
import json
import math
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

from redis.asyncio import Redis

from shared import namespaces, settings
from shared.app import App
from shared.clock import iso_utc
from shared.delivery import dead_letters
from shared.privacy.masking import fingerprint, mask_key
from shared.store.connection import open_client, parse_connection_string

DEADLINE_S = 10.0
"""Time limit of a sample. A reaction takes a few milliseconds, the first of a new worker a few hundred."""
_POLL_S = 0.002
METRICS = {"demo_co2": (1.2, 0.05), "demo_flow": (30.0, 0.6), "demo_temp": (24.1, 0.2), "demo_ph": (7.1, 0.03)}
"""Mean and standard deviation of the sample readings by metric. They update the baseline, so no real metric is used."""


@dataclass(frozen=True)
class SampleResult:
    """A sample that was written, and its effect."""

    sample: str
    key: str
    """Masked."""
    expected: str
    """Part of `outcome` if all is well."""
    outcome: str
    ms: float
    ok: bool


def succeeded(results: Sequence[SampleResult]) -> bool:
    """Whether there are samples, and every sample had its expected effect."""
    return bool(results) and all(result.ok for result in results)


type Probe = Callable[[], Awaitable[str | None]]
"""Describes an effect in a few words; None while there is no effect yet."""


@dataclass(frozen=True)
class _Demo:
    redis: Redis
    audit_key: str
    results: list[SampleResult] = field(default_factory=list)
    run_id: str = field(default_factory=lambda: secrets.token_hex(3))
    """Part of every id that this run writes."""
    random: Random = field(default_factory=Random)

    async def sample(self, name: str, key: bytes, write: Awaitable[Any], expected: str, probe: Probe) -> None:
        """Write a sample, wait until `probe` describes its effect, and add the result to `results`."""
        started_s = time.perf_counter()
        await write
        outcome = None
        while outcome is None and time.perf_counter() - started_s < DEADLINE_S:
            outcome = await probe()
            if outcome is None:
                await asyncio.sleep(_POLL_S)
        self.results.append(
            SampleResult(
                sample=name,
                key=mask_key(key, self.audit_key),
                expected=expected,
                outcome=outcome or f"nothing within {DEADLINE_S:.0f} s",
                ms=(time.perf_counter() - started_s) * 1000,
                ok=outcome is not None and expected in outcome,
            )
        )


async def run_demo(connection_string: str) -> list[SampleResult]:
    """Write the samples one after the other and wait for the effect of each.

    Afterwards the samples, results, caches and dead letters are removed. Audit records and the demo's metrics in the
    baseline stay. Like every chart update, the demo deletes the query caches that depend on charts.
    """
    async with _demo(connection_string) as demo:
        await _batches(demo)
        await _charts(demo)
        await _sessions(demo)
        return demo.results


@asynccontextmanager
async def _demo(connection_string: str) -> AsyncIterator[_Demo]:
    redis = open_client(parse_connection_string(connection_string))
    demo = _Demo(redis, settings.current().audit_key)
    try:
        yield demo
    finally:
        app = App(settings.current(), redis)
        for letter in (await dead_letters.list_page(app, limit=dead_letters.MAX_PAGE)).letters:
            if f"demo-{demo.run_id}".encode() in letter.key:
                await dead_letters.remove(app, letter.id)
        written = [key async for key in redis.scan_iter(match=f"*demo-{demo.run_id}*", count=1000)]
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
            result = await result_of(batch_id)
            if result is None:
                return None
            anomalies = result["anomalies"]
            words = "1 anomaly" if len(anomalies) == 1 else f"{len(anomalies)} anomalies"
            listed = ", ".join(map(_describe_anomaly, anomalies[:2]))
            return f"{result['readings']} readings, {words}" + (listed and f": {listed}")

        key = namespaces.build(namespaces.BATCH, batch_id)
        await demo.sample(name, key, write(key), expected, probe)

    def set_json(value: object) -> Callable[[bytes], Awaitable[Any]]:
        return lambda key: demo.redis.set(key, json.dumps(value), ex=namespaces.TEMP_DATA_TTL_S)

    ids = [f"demo-{demo.run_id}-{number}" for number in range(1, 7)]
    wide = {"batchId": ids[0], "records": _wide_records(demo, 25)}
    await send("batch, wide records", ids[0], set_json(wide), "100 readings")
    readings = _long_readings(demo, 25)
    readings[33] |= {"metric": "demo_temp", "sensorId": "T-07", "value": 61.5}
    await send("batch with a planted anomaly", ids[1], set_json({"readings": readings}), "demo_temp 61.5 at T-07")
    elements = [json.dumps(record) for record in _wide_records(demo, 10)]
    await send("batch as a list", ids[2], lambda key: _write_list(demo, key, elements), "40 readings")
    fields = {"batchId": "x", "records": json.dumps(_wide_records(demo, 5))}
    await send("batch as a hash", ids[3], lambda key: _write_hash(demo, key, fields), "20 readings")

    # A rejected batch has no result to wait for. The lane is sequential, so the result of the batch after it shows that
    # the rejected batch has been processed.
    truncated_id, next_id = ids[4:]

    async def write_both() -> None:
        await demo.redis.set(namespaces.build(namespaces.BATCH, truncated_id), '{"records":[{"times', ex=60)
        await set_json(_wide_records(demo, 1))(namespaces.build(namespaces.BATCH, next_id))

    async def probe_rejection() -> str | None:
        if await result_of(next_id) is None:
            return None
        return "rejected, no result" if await result_of(truncated_id) is None else "a result"

    key = namespaces.build(namespaces.BATCH, truncated_id)
    await demo.sample("batch cut short", key, write_both(), "rejected, no result", probe_rejection)


def _describe_anomaly(anomaly: Mapping[str, Any]) -> str:
    sensor = anomaly["sensorId"]
    return f"{anomaly['metric']} {anomaly['value']}" + ("" if sensor is None else f" at {sensor}")


def _wide_records(demo: _Demo, count: int) -> list[dict[str, Any]]:
    return [
        {"timestamp": _ago(count - number), "data": {name: _value(demo, name) for name in METRICS}}
        for number in range(count)
    ]


def _long_readings(demo: _Demo, count: int) -> list[dict[str, Any]]:
    return [
        {"sensorId": f"{name[5].upper()}-01", "metric": name, "ts": _ago(count - number), "value": _value(demo, name)}
        for number in range(count)
        for name in METRICS
    ]


def _value(demo: _Demo, metric: str) -> float:
    return round(demo.random.gauss(*METRICS[metric]), 4)


def _ago(seconds: int) -> str:
    """The time `seconds` ago, as JavaScript's toISOString writes it."""
    return iso_utc(time.time() - seconds)


async def _write_list(demo: _Demo, key: bytes, elements: list[str]) -> None:
    await demo.redis.rpush(key, *elements)
    await demo.redis.expire(key, namespaces.TEMP_DATA_TTL_S)


async def _write_hash(demo: _Demo, key: bytes, fields: dict[str, str]) -> None:
    await demo.redis.hset(key, items=[part for pair in fields.items() for part in pair])
    await demo.redis.expire(key, namespaces.TEMP_DATA_TTL_S)


# Charts


async def _charts(demo: _Demo) -> None:
    chart = (f"demo-{demo.run_id}", "realtime")
    source = namespaces.build(namespaces.CHART_DATA, *chart)
    query = namespaces.build(namespaces.QUERY_CACHE, "plant-overview")
    reported_digests: set[str] = set()

    async def read_cache() -> dict[str, Any] | None:
        raw = await demo.redis.get(namespaces.build(namespaces.CHART_CACHE, *chart))
        return json.loads(raw) if raw else None

    async def refreshed() -> str | None:
        cache = await read_cache()
        if cache is None or cache["sourceDigest"] in reported_digests:
            return None
        reported_digests.add(cache["sourceDigest"])
        drawn_points = len(cache["series"][0]["points"])
        deleted = "" if await demo.redis.exists(query) else ", query cache deleted"
        return f"{len(cache['series'])} series, {cache['points']} points to {drawn_points}{deleted}"

    async def marked_stale() -> str | None:
        cache = await read_cache()
        return "cache kept, marked stale" if cache and cache["stale"] else None

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
    user = f"demo-{demo.run_id}"
    key = namespaces.build(namespaces.SESSION, token)
    index = namespaces.build(namespaces.SESSION_BY_USER, user)
    subject = fingerprint(token.encode(), demo.audit_key)
    stream = namespaces.build(namespaces.AUDIT_STREAM)
    newest = cast("list[tuple[bytes, Any]]", await demo.redis.xrevrange(stream, count=1))
    start_id = newest[0][0] if newest else b"-"

    def recorded(kind: str) -> Probe:
        async def probe() -> str | None:
            entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", await demo.redis.xrange(stream, min=start_id))
            for _, fields in entries:
                event: dict[str, Any] = json.loads(fields[b"event"])
                if event["subject"] == subject and event["type"] == f"nextauth.session.{kind}":
                    reason = event["data"].get("reason")
                    return f"{event['type']}, {reason}" if reason else str(event["type"])
            return None

        return probe

    async def write(user_id: str) -> None:
        session = {"sessionToken": token, "userId": user_id, "expires": _ago(-3600)}
        await demo.redis.set(key, json.dumps(session))
        await demo.redis.set(index, key)

    async def logout() -> None:
        await demo.redis.delete(key, index)

    created, changed = write(user), write(f"{user}-b")
    await demo.sample("session, login", key, created, "nextauth.session.created", recorded("created"))
    await demo.sample("session, another user", key, changed, "nextauth.session.changed", recorded("changed"))
    await demo.sample("session, logout", key, logout(), "nextauth.session.ended, logout", recorded("ended"))
