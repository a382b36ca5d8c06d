"""Writes sample batches, charts and sessions as the real clients do, and reports the effect of each."""

import asyncio
import json
import math
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from local.run.traffic import Traffic, chart_rows, sample_rows, write_session
from shared import namespaces, settings
from shared.app import App
from shared.charts import views as chart_views
from shared.clock import iso_utc
from shared.delivery import dead_letters
from shared.privacy.keyring import keyring
from shared.privacy.masking import fingerprint, mask_key
from shared.sessions.keys import token_of
from shared.store.connection import open_client, parse_connection_string
from shared.words import counted

DEADLINE_S = 10.0
"""Time limit of a sample. A reaction takes a few milliseconds, the first of a new worker a few hundred."""
_POLL_S = 0.002
CLEAN_UP_S = 2.0
"""How long the end of the last session is waited for, so that the app records it before it stops."""


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


@asynccontextmanager
async def demo(connection_string: str, *, keep: bool = False) -> AsyncIterator[list[SampleResult]]:
    """Write the samples one after the other and wait for the effect of each. Yields the results.

    keep: leave a live chart and a live session too, for the user to look at. All keys of the run are there within the
    context; at its end the samples, results, caches and dead letters are removed. Audit records and the demo's metrics
    in the baseline stay. Like every chart update, the demo deletes the query caches that depend on charts.
    """
    async with _demo(connection_string) as run:
        await _batches(run)
        await _charts(run)
        await _sessions(run)
        if keep:
            await _live_chart(run)
            await _live_session(run)
        yield run.results


@asynccontextmanager
async def traffic(connection_string: str) -> AsyncIterator[None]:
    """Write continuous traffic within the context; at its end its keys are removed."""
    async with _demo(connection_string) as run:
        writing = asyncio.create_task(Traffic(run.redis, run.run_id).run())
        try:
            yield
        finally:
            writing.cancel()
            await asyncio.wait([writing])


@asynccontextmanager
async def _demo(connection_string: str) -> AsyncIterator[_Demo]:
    redis = open_client(parse_connection_string(connection_string))
    run = _Demo(redis, settings.current().audit_key)
    try:
        yield run
    finally:
        try:
            await _clean_up(run)
        except (RedisError, OSError):
            pass  # Redis is away: the keys have a TTL
        finally:
            await redis.aclose()


async def _clean_up(run: _Demo) -> None:
    app = App(settings.current(), run.redis)
    for letter in (await dead_letters.list_page(app, limit=dead_letters.MAX_PAGE)).letters:
        if f"demo-{run.run_id}".encode() in letter.key:
            await dead_letters.remove(app, letter.id)
    found = [key async for key in run.redis.scan_iter(match=f"*demo-{run.run_id}*", count=1000)]
    written = [key for key in found if not key.startswith(b"functions:")]  # the app removes its own
    if not written:
        return
    sessions = [key for key in written if namespaces.parts_of(namespaces.SESSION, key)]
    await run.redis.unlink(*written)
    with suppress(TimeoutError):
        async with asyncio.timeout(CLEAN_UP_S):
            while sessions:
                sessions = [key for key in sessions if not await _is_over(app, key)]
                await asyncio.sleep(_POLL_S)


async def _is_over(app: App, session: bytes) -> bool:
    """Whether the app has recorded the end of a session, or never knew it."""
    token = token_of(app.keyrings, session) or b""
    phantom = namespaces.build(namespaces.PHANTOM, app.keyrings[0].seal(token))
    return bool(await app.redis.hexists(phantom, "ended_ms")) or not await app.redis.exists(phantom)


# Batches


async def _batches(run: _Demo) -> None:
    async def result_of(batch_id: str) -> dict[str, Any] | None:
        raw = await run.redis.get(namespaces.build(namespaces.RESULT, batch_id))
        return json.loads(raw) if raw else None

    async def send(name: str, batch_id: str, write: Callable[[bytes], Awaitable[Any]], expected: str) -> None:
        async def probe() -> str | None:
            result = await result_of(batch_id)
            if result is None:
                return None
            anomalies = result["anomalies"]
            listed = ", ".join(map(_describe_anomaly, anomalies[:2]))
            words = f"{counted(result['readings'], 'reading')}, {counted(len(anomalies), 'anomaly', 'anomalies')}"
            return words + (listed and f": {listed}")

        key = namespaces.build(namespaces.BATCH, batch_id)
        await run.sample(name, key, write(key), expected, probe)

    def set_json(value: object) -> Callable[[bytes], Awaitable[Any]]:
        return lambda key: run.redis.set(key, json.dumps(value), ex=namespaces.TEMP_DATA_TTL_S)

    ids = [f"demo-{run.run_id}-{number}" for number in range(1, 7)]
    wide = {"batchId": ids[0], "records": _wide_records(run, 25)}
    await send("batch, wide records", ids[0], set_json(wide), "100 readings")
    readings = _long_readings(run, 25)
    readings[33] |= {"metric": "demo_temp", "sensorId": "T-07", "value": 61.5}
    await send("batch with a planted anomaly", ids[1], set_json({"readings": readings}), "demo_temp 61.5 at T-07")
    elements = [json.dumps(record) for record in _wide_records(run, 10)]
    await send("batch as a list", ids[2], lambda key: _write_list(run, key, elements), "40 readings")
    fields = {"batchId": "x", "records": json.dumps(_wide_records(run, 5))}
    await send("batch as a hash", ids[3], lambda key: _write_hash(run, key, fields), "20 readings")

    # A rejected batch has no result to wait for. The lane is sequential, so the result of the batch after it shows that
    # the rejected batch has been processed.
    truncated_id, next_id = ids[4:]

    async def write_both() -> None:
        key = namespaces.build(namespaces.BATCH, truncated_id)
        await run.redis.set(key, '{"records":[{"times', ex=namespaces.TEMP_DATA_TTL_S)
        await set_json(_wide_records(run, 1))(namespaces.build(namespaces.BATCH, next_id))

    async def probe_rejection() -> str | None:
        if await result_of(next_id) is None:
            return None
        return "rejected, no result" if await result_of(truncated_id) is None else "a result"

    key = namespaces.build(namespaces.BATCH, truncated_id)
    await run.sample("batch cut short", key, write_both(), "rejected, no result", probe_rejection)


def _describe_anomaly(anomaly: Mapping[str, Any]) -> str:
    sensor = anomaly["sensorId"]
    return f"{anomaly['metric']} {anomaly['value']}" + ("" if sensor is None else f" at {sensor}")


def _wide_records(run: _Demo, count: int) -> list[dict[str, Any]]:
    return [{"timestamp": iso_utc(at_s), "data": values} for at_s, values in sample_rows(run.random, count)]


def _long_readings(run: _Demo, count: int) -> list[dict[str, Any]]:
    return [
        {"sensorId": f"{name[5].upper()}-01", "metric": name, "ts": iso_utc(at_s), "value": value}
        for at_s, values in sample_rows(run.random, count)
        for name, value in values.items()
    ]


def _ago(seconds: int) -> str:
    """The time `seconds` ago, as JavaScript's toISOString writes it."""
    return iso_utc(time.time() - seconds)


async def _write_list(run: _Demo, key: bytes, elements: list[str]) -> None:
    await run.redis.rpush(key, *elements)
    await run.redis.expire(key, namespaces.TEMP_DATA_TTL_S)


async def _write_hash(run: _Demo, key: bytes, fields: dict[str, str]) -> None:
    await run.redis.hset(key, items=[part for pair in fields.items() for part in pair])
    await run.redis.expire(key, namespaces.TEMP_DATA_TTL_S)


# Charts


async def _charts(run: _Demo) -> None:
    chart = (f"demo-{run.run_id}", "realtime")
    source = namespaces.build(namespaces.CHART_DATA, *chart)
    query = namespaces.build(namespaces.QUERY_CACHE, "plant-overview")
    reported_digests: set[str] = set()

    async def read_cache() -> dict[str, Any] | None:
        raw = await run.redis.get(namespaces.build(namespaces.CHART_CACHE, *chart))
        return json.loads(raw) if raw else None

    async def refreshed() -> str | None:
        cache = await read_cache()
        if cache is None or cache["sourceDigest"] in reported_digests:
            return None
        reported_digests.add(cache["sourceDigest"])
        points = cache["series"][0]["points"]
        line = chart_views.drawn([value for _, value in points])
        deleted = "" if await run.redis.exists(query) else ", query cache deleted"
        return f"{line} {len(cache['series'])} series, {cache['points']} points to {len(points)}{deleted}"

    async def marked_stale() -> str | None:
        cache = await read_cache()
        return "cache kept, marked stale" if cache and cache["stale"] else None

    async def write(count: int) -> None:
        await run.redis.set(query, "{}", ex=namespaces.QUERY_CACHE_TTL_S, nx=True)
        rows = [
            {"timestamp": _ago(count - number), "co2Flow": round(1.2 + math.sin(number / 40) / 5, 4), "waterFlow": 30.1}
            for number in range(count)
        ]
        await run.redis.set(source, json.dumps(rows), ex=namespaces.CHART_DATA_TTL_S)

    await run.sample("chart written", source, write(2000), "query cache deleted", refreshed)
    await run.sample("chart updated", source, write(300), "query cache deleted", refreshed)
    await run.sample("chart gone", source, run.redis.delete(source), "marked stale", marked_stale)


# Sessions


async def _sessions(run: _Demo) -> None:
    token = secrets.token_hex(16)
    user = f"demo-{run.run_id}"
    key = namespaces.build(namespaces.SESSION, token)
    index = namespaces.build(namespaces.SESSION_BY_USER, user)
    subject = fingerprint(token.encode(), run.audit_key)
    stream = namespaces.build(namespaces.AUDIT_STREAM)
    newest = cast("list[tuple[bytes, Any]]", await run.redis.xrevrange(stream, count=1))
    start_id = newest[0][0] if newest else b"-"

    def recorded(kind: str) -> Probe:
        async def probe() -> str | None:
            entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", await run.redis.xrange(stream, min=start_id))
            for _, fields in entries:
                event: dict[str, Any] = json.loads(fields[b"event"])
                if event["subject"] == subject and event["type"] == f"nextauth.session.{kind}":
                    reason = event["data"].get("reason")
                    return f"{event['type']}, {reason}" if reason else str(event["type"])
            return None

        return probe

    async def write(user_id: str) -> None:
        await write_session(run.redis, key, user_id)
        await run.redis.set(index, key, ex=namespaces.TEMP_DATA_TTL_S)

    async def logout() -> None:
        await run.redis.delete(key, index)

    created, changed = write(user), write(f"{user}-b")
    await run.sample("session, login", key, created, "nextauth.session.created", recorded("created"))
    await run.sample("session, another user", key, changed, "nextauth.session.changed", recorded("changed"))
    await run.sample("session, logout", key, logout(), "nextauth.session.ended, logout", recorded("ended"))


# What stays to be looked at


async def _live_chart(run: _Demo) -> None:
    chart = (f"demo-{run.run_id}-live", "realtime")
    source = namespaces.build(namespaces.CHART_DATA, *chart)
    cache_key = namespaces.build(namespaces.CHART_CACHE, *chart)
    written = run.redis.set(source, json.dumps(chart_rows()), ex=namespaces.CHART_DATA_TTL_S)

    async def cached() -> str | None:
        return "1 series, kept" if await run.redis.exists(cache_key) else None

    await run.sample("chart to look at", source, written, "kept", cached)


async def _live_session(run: _Demo) -> None:
    token = f"demo-{run.run_id}-{secrets.token_hex(12)}"
    key = namespaces.build(namespaces.SESSION, token)
    phantom = namespaces.build(namespaces.PHANTOM, keyring(run.audit_key).seal(token.encode()))

    async def recorded() -> str | None:
        return "nextauth.session.created, kept" if await run.redis.exists(phantom) else None

    await run.sample("session to look at", key, write_session(run.redis, key, f"demo-{run.run_id}"), "kept", recorded)
