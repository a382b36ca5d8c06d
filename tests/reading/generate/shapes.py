"""What Python's clients and caches leave in Redis, written through a server."""

import asyncio
import json
import zlib

import aiocache
import dogpile.cache
import msgpack
import redis
from aiocache.serializers import JsonSerializer
from celery import Celery
from dogpile.cache.api import CachedValue
from kit import Row, Theme, epoch_ms, iso, lib, rename, rows, table, wave, wide
from store import parts, server

FRAME = table(
    {"co2_flow_rate": wave(18, 11, 2), "pressure_bar": wave(18, 1.6, 0.2, 1, digits=3)},
    start="2026-05-17T13:00:00Z",
    step_s=20,
)
TRUTH = wide(FRAME)
ROWS: list[Row] = rows(FRAME)


LONG = [
    {"sensorId": f"S-{name[:3]}", "metric": name, "ts": epoch_ms(row["ts"]), "value": row[name]}
    for row in ROWS
    for name in ("co2_flow_rate", "pressure_bar")
]


def write_strings_and_hashes(client: redis.Redis) -> None:
    client.set(
        "string:records",
        json.dumps(
            {
                "batchId": "b-1",
                "records": [
                    {
                        "timestamp": row["ts"],
                        "data": {"co2_flow_rate": row["co2_flow_rate"], "pressure_bar": row["pressure_bar"]},
                    }
                    for row in ROWS
                ],
            }
        ),
        ex=3600,
    )
    client.set("string:readings", json.dumps({"batchId": "b-2", "readings": LONG}), ex=3600)
    client.hset(
        "hash:meta",
        mapping={
            "batchId": "b-3",
            "status": "complete",
            "created": iso(FRAME["ts"][0]),
            "row_count": 18,
            "records": json.dumps(ROWS),
        },
    )
    client.hset("hash:columns", mapping={name: json.dumps([row[name] for row in ROWS]) for name in FRAME.columns})
    client.hset("hash:rows", mapping={str(i): json.dumps(row) for i, row in enumerate(ROWS)})
    client.hset(
        "hash:packed", mapping={"meta": json.dumps({"n": 18}), "payload": zlib.compress(json.dumps(ROWS).encode())}
    )
    client.hset(
        "hash:latest",
        mapping={
            "ts": ROWS[0]["ts"],
            "co2_flow_rate": ROWS[0]["co2_flow_rate"],
            "pressure_bar": ROWS[0]["pressure_bar"],
            "device_id": 4711,
            "unit": "bar",
        },
    )


def write_lists_and_streams(client: redis.Redis) -> None:
    client.rpush("list:rows", *(json.dumps(row) for row in ROWS))
    client.lpush("list:newest first", *(json.dumps(row) for row in ROWS))
    client.rpush("list:chunks", *(json.dumps(ROWS[i : i + 6]) for i in range(0, 18, 6)))
    client.rpush("list:packed", *(msgpack.packb(row) for row in ROWS))
    client.rpush("list:one document", json.dumps({"readings": ROWS}))
    client.rpush(
        "list:csv lines",
        "ts,co2_flow_rate,pressure_bar",
        *(f"{row['ts']},{row['co2_flow_rate']},{row['pressure_bar']}" for row in ROWS),
    )
    for row in ROWS:
        client.xadd("stream:rows", row)
        client.xadd("stream:with ids", {**row, "device_id": "17", "seq": str(5200 + ROWS.index(row)), "unit": "bar"})
    for entry in LONG:
        client.xadd("stream:long", {key: str(value) for key, value in entry.items()})
    for row in ROWS:
        client.xadd(
            "stream:json",
            {
                "data": json.dumps(
                    {
                        "ts": row["ts"],
                        "values": {"co2_flow_rate": row["co2_flow_rate"], "pressure_bar": row["pressure_bar"]},
                    }
                )
            },
        )


def redis_py(theme: Theme, client: redis.Redis) -> None:
    source = f"{lib('redis')} (Python)"
    write_strings_and_hashes(client)
    write_lists_and_streams(client)
    first = {name: points[:1] for name, points in TRUTH.items()}
    for key, kinds, truth in (
        ("string:records", "bc", TRUTH),
        ("string:readings", "bc", TRUTH),
        ("hash:meta", "bc", TRUTH),
        ("hash:columns", "b", TRUTH),
        ("hash:rows", "b", TRUTH),
        ("hash:packed", "b", TRUTH),
        ("hash:latest", "b", first),
        ("list:rows", "bc", TRUTH),
        ("list:newest first", "c", TRUTH),
        ("list:chunks", "b", TRUTH),
        ("list:packed", "b", TRUTH),
        ("list:one document", "b", TRUTH),
        ("list:csv lines", "b", TRUTH),
        ("stream:rows", "b", TRUTH),
        ("stream:with ids", "b", TRUTH),
        ("stream:long", "b", TRUTH),
        ("stream:json", "b", TRUTH),
    ):
        shape, value = parts(client, key)
        alt = [] if key != "stream:json" else [rename(TRUTH, lambda name: f"values.{name}")]
        theme.add(
            kinds,
            key.replace(":", ": "),
            source,
            value,
            truth,
            shape=shape,
            alt=alt,
            or_refuse=key == "list:csv lines",
            doubt="Lines of csv as elements: a refusal is allowed." if key == "list:csv lines" else None,
        )


def caches(theme: Theme, client: redis.Redis) -> None:
    port = client.connection_pool.connection_kwargs["port"]

    async def through_aiocache() -> None:
        cache = aiocache.RedisCache(endpoint="127.0.0.1", port=port, serializer=JsonSerializer(), namespace="aio")
        await cache.set("rows", {"data": ROWS}, ttl=60)
        await cache.close()

    asyncio.run(through_aiocache())
    key = next(key for key in client.keys("*") if key.startswith(b"aio")).decode()
    theme.add("b", "aiocache JSON", f"{lib('aiocache')} JsonSerializer", client.get(key), TRUTH)
    region = dogpile.cache.make_region(
        serializer=lambda value: json.dumps(value).encode(), deserializer=json.loads
    ).configure("dogpile.cache.redis", arguments={"host": "127.0.0.1", "port": port})
    region.set("dogpile", ROWS)
    assert isinstance(region.get_value_metadata("dogpile"), CachedValue)
    theme.add(
        "c",
        "dogpile.cache JSON with metadata",
        f"{lib('dogpile.cache')} redis backend, JSON serializer",
        client.get("dogpile"),
        TRUTH,
        or_refuse=True,
        doubt="A metadata document, a bar, then JSON: a refusal is allowed.",
    )
    app = Celery("cases", backend=f"redis://127.0.0.1:{port}/0")
    app.backend.store_result("5f0c7b1e", {"readings": ROWS}, "SUCCESS")
    theme.add(
        "bc", "Celery result backend", f"{lib('celery')} redis backend", client.get("celery-task-meta-5f0c7b1e"), TRUTH
    )
    app.backend.store_result("6a1d8c2f", None, "STARTED")
    theme.add(
        "b",
        "Celery task under way",
        f"{lib('celery')} redis backend",
        client.get("celery-task-meta-6a1d8c2f"),
        None,
        refuse="placeholder",
    )


def build() -> Theme:
    theme = Theme("shapes")
    with server() as client:
        redis_py(theme, client)
        caches(theme, client)
    return theme
