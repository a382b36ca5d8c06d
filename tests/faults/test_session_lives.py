"""Session lives under three hosts that are killed and stand still all the while: one beginning and one end each."""

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
"""More ends than that cannot fall into the blackouts. Each single one is checked against them."""
LATE_SHARE = 0.05
"""A second life that lasts some hundredths of a second, as here, can be over before all hosts know of the first one's
end. The reason may then be the first one's; the records are right in number."""
LOST_AFTER_S = {False: "5", True: "10"}
"""By whether it is the long run. 10 is the default."""


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
            await traffic.swept(SETTLE_S)
        await stream.complete()
        await check_log(stream, server.port, storage)
        said = "".join(host.said() for host in running)
        left = await traffic.redis.exists(namespaces.build(namespaces.SESSIONS_DUE))
        counted = await traffic.redis.keys(namespaces.USER_SESSIONS.prefix + b"*")
    check_stream(stream)
    told = check_lives(stream, sessions.lives, blackouts)
    assert PLANTED not in said
    assert not left, "sessions are due that are over"
    assert not counted, "users have sessions that are over"
    assert told["created"] == told["ended"] == sessions.begun >= total
    assert told["ended/lost"] < sessions.begun * LOST_SHARE
    assert told["ended/with the reason of an earlier life"] < sessions.begun * LATE_SHARE
    measured("sessions: hosts killed one by one", kills, "times")
    measured("sessions: hosts stood still", pauses, "times")
    measured("sessions: all hosts killed at once", len(blackouts), "times")
    measured("sessions: lives", sessions.begun, "lives")
    measured("sessions: records", len(stream.entries), "records")
    measured("sessions: hosts behind their events, at the most", lag_s(stream, sessions.lives), "s")
    measured("sessions: it all took", time.monotonic() - started_s, "s")
    for what in sorted(told):
        if what.startswith(("created/", "ended/")):
            measured(f"sessions: {what}", told[what], "records")


async def check_log(stream: AuditStream, port: int, storage: Azurite) -> None:
    """The log in storage, written by hosts that died all the while, verifies and holds each record once, in order."""
    settings = FAST | {"Redis": f"127.0.0.1:{port}", "AzureWebJobsStorage": storage.connection_string}
    app = open_app(parse(settings))
    async with asyncio.timeout(LEASE_S + SETTLE_S):  # the last one who held it may have been killed
        while True:
            if (await export(app)).finished:
                break
            await asyncio.sleep(0.5)
    async with open_store(app.settings) as store:
        found = await verify(store, app.keyrings, head=(await state(app)).head)
        assert found.fault is None
        days = [datetime.fromisoformat(json.loads(event)["time"]).date() for _, event in stream.entries]
        lines = [line async for line in records(store, min(days), max(days))]
    await app.redis.aclose()
    told = [json.loads(event) for _, event in stream.entries]
    logged = [line for line in lines if not line["type"].startswith("functions.audit.")]
    assert [line["n"] for line in logged] == [n for n, _ in stream.entries]
    assert [{name: line[name] for name in one} for line, one in zip(logged, told, strict=True)] == told
    assert found.records == len(lines)


async def disturb(
    running: list[HostProcess], sessions: Sessions, rng: random.Random, over: asyncio.Event, *, blackout_every: int
) -> tuple[int, int, list[Window]]:
    """Kill one, or let one stand still, now and then kill all; how often, and when there was none."""
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
                await asyncio.gather(*(one.kill() for one in running))
                await asyncio.sleep(rng.uniform(0, 1))
                await asyncio.gather(*(one.start() for one in running))
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
