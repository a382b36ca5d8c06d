"""Session lives while three hosts are killed and paused: one record of the beginning and one of the end per life."""

import asyncio
import json
import random
import time
from collections.abc import Callable
from datetime import datetime
from itertools import count
from pathlib import Path

import pytest

from local.run.servers import Azurite, azurite
from shared import namespaces
from shared.app import open_app
from shared.audit.export import LEASE_S, export
from shared.audit.state import state
from shared.audit.store import open_store
from shared.audit.verify import records, verify
from shared.settings import parse
from tests.support.audit_stream import AuditStream, Window, check_lives, check_stream, lag_s
from tests.support.rig import FAST, HostProcess, RedisProcess, hosts
from tests.support.session_lives import PLANTED, Sessions
from tests.support.traffic import Traffic

pytestmark = pytest.mark.timeout(120)

SETTLE_S = 30.0
SETTINGS = {"EXPIRY_SCHEDULE": "*/1 * * * * *", "AUDIT_SCHEDULE": "*/1 * * * * *", "AUDIT_REFRESH_MIN_S": "2"}
LOST_SHARE = 0.2
"""Largest share of lives that may end during blackouts. Each such end is also checked against the blackouts."""
LATE_SHARE = 0.05
"""A second life of some 10 ms, as here, may end before all hosts know the end of the first. Its record may then have
the first life's reason; the number of records is right."""
LOST_AFTER_S = {False: "5", True: "10"}
"""SESSION_LOST_AFTER_S without and with --soak. 10 is the default."""


async def test_every_session_life_is_recorded_with_one_beginning_and_one_end(
    tmp_path: Path, rng: random.Random, soak: bool, measured: Callable[[str, float, str], None]
) -> None:
    total, clients, short_s = (10_000, 60, (5.0, 12.0)) if soak else (300, 60, (4.0, 7.0))
    started_s = time.monotonic()
    async with (
        azurite() as storage,
        RedisProcess(tmp_path) as server,
        Traffic(server.port) as traffic,
        AuditStream(server.port) as stream,
        Sessions(server.port, stream, rng, clients=clients, short_s=short_s) as sessions,
    ):
        assert storage is not None, "Azurite cannot be started here"
        settings = SETTINGS | {
            "SESSION_LOST_AFTER_S": LOST_AFTER_S[soak],
            "AzureWebJobsStorage": storage.connection_string,
        }
        async with hosts(3, f"127.0.0.1:{server.port}", tmp_path, **settings) as running:
            over = asyncio.Event()
            faults = asyncio.create_task(disturb(running, sessions, rng, over, blackout_every=12 if soak else 4))
            try:
                await sessions.run(total)
            finally:
                over.set()
                kills, pauses, blackouts = await faults
            await traffic.complete_pass(SETTLE_S)
        await stream.complete()
        await check_log(stream, server.port, storage)
        output = "".join(host.output_text() for host in running)
        due = await traffic.redis.exists(namespaces.build(namespaces.SESSIONS_DUE))
        counted = await traffic.redis.keys(namespaces.USER_SESSIONS.prefix + b"*")
    check_stream(stream)
    counts = check_lives(stream, sessions.lives, blackouts)
    assert PLANTED not in output
    assert not due, "ended sessions are still due"
    assert not counted, "ended sessions still count for their users"
    assert counts["created"] == counts["ended"] == sessions.begun >= total
    assert counts["ended/lost"] < sessions.begun * LOST_SHARE
    assert counts["ended/with the reason of an earlier life"] < sessions.begun * LATE_SHARE
    measured("sessions: single hosts killed", kills, "times")
    measured("sessions: hosts paused", pauses, "times")
    measured("sessions: all hosts killed at once", len(blackouts), "times")
    measured("sessions: lives", sessions.begun, "lives")
    measured("sessions: records", len(stream.entries), "records")
    measured("sessions: largest lag of hosts behind their events", lag_s(stream, sessions.lives), "s")
    measured("sessions: duration", time.monotonic() - started_s, "s")
    for kind in sorted(counts):
        if kind.startswith(("created/", "ended/")):
            measured(f"sessions: {kind}", counts[kind], "records")


async def check_log(stream: AuditStream, port: int, storage: Azurite) -> None:
    """The log in storage, written while hosts were killed, verifies and holds each record once, in order."""
    settings = FAST | {"Redis": f"127.0.0.1:{port}", "AzureWebJobsStorage": storage.connection_string}
    app = open_app(parse(settings))
    async with asyncio.timeout(LEASE_S + SETTLE_S):  # the last holder of the lease may have been killed
        while True:
            if (await export(app)).finished:
                break
            await asyncio.sleep(0.5)
    async with open_store(app.settings) as store:
        verification = await verify(store, app.keyrings, head=(await state(app)).head)
        assert verification.fault is None
        days = [datetime.fromisoformat(json.loads(event)["time"]).date() for _, event in stream.entries]
        lines = [line async for line in records(store, min(days), max(days))]
    await app.redis.aclose()
    records_in_redis = [json.loads(event) for _, event in stream.entries]
    logged = [line for line in lines if not line["type"].startswith("functions.audit.")]
    assert [line["n"] for line in logged] == [n for n, _ in stream.entries]
    pairs = zip(logged, records_in_redis, strict=True)
    assert [{name: line[name] for name in record} for line, record in pairs] == records_in_redis
    assert verification.records == len(lines)


async def disturb(
    running: list[HostProcess], sessions: Sessions, rng: random.Random, over: asyncio.Event, *, blackout_every: int
) -> tuple[int, int, list[Window]]:
    """Kill or pause single hosts, and sometimes kill all. Returns kills, pauses, and the times without any host."""
    kills = pauses = 0
    blackouts: list[Window] = []
    for step in count(1):
        await asyncio.sleep(rng.uniform(0.1, 0.6))
        host = rng.choice(running)
        if over.is_set() and kills and pauses and blackouts:
            return kills, pauses, blackouts
        if step % blackout_every == 0:
            async with sessions.no_immediate_reuse():
                from_s = time.time()
                await asyncio.gather(*(host_process.kill() for host_process in running))
                await asyncio.sleep(rng.uniform(0, 1))
                await asyncio.gather(*(host_process.start() for host_process in running))
                blackouts.append((from_s, time.time()))
        elif rng.random() < 0.4:
            host.pause()
            await asyncio.sleep(rng.uniform(0.2, 2))
            host.resume()
            pauses += 1
        else:
            await host.kill()
            await asyncio.sleep(rng.uniform(0, 1))
            await host.start()
            kills += 1
    raise AssertionError
