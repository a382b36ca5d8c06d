"""Worker processes that are killed, pause, or compete for the same keys."""

import asyncio
import random
from collections.abc import Callable
from math import ceil
from pathlib import Path

import pytest

from tests.support.rig import HostProcess, RedisProcess, hosts
from tests.support.traffic import CommitCounter, Traffic, check_commits

pytestmark = pytest.mark.timeout(120)

MAX_BURST = 30
HEAVY_RECORDS = 25_000
"""Readings of a batch whose analysis takes about 40 ms: a process killed during that time holds the claim."""
SETTLE_S = 30.0
LEASE_S = 1.0


async def test_workers_killed_at_any_moment_lose_and_repeat_nothing(
    tmp_path: Path, rng: random.Random, soak: bool, measured: Callable[[str, float, str], None]
) -> None:
    kills, batches = (30, 2000) if soak else (6, 400)
    killed = orphans = 0
    async with (
        RedisProcess(tmp_path) as server,
        Traffic(server.port) as traffic,
        CommitCounter(server.port) as counter,
    ):
        async with hosts(2, f"127.0.0.1:{server.port}", tmp_path) as running:
            while killed < kills or not orphans:
                share = ceil(batches / kills)
                writing = asyncio.create_task(write_batches(traffic, share, random.Random(rng.random())))
                victim = rng.choice(running)
                await wait_for_any_moment(traffic, rng)
                await victim.kill()
                killed += 1
                claims = await traffic.claims()
                await victim.start()
                orphans += len(claims & await traffic.claims())
                await writing
            await traffic.quiescent(SETTLE_S)
            await traffic.complete_pass(SETTLE_S)
        await check_outcome(traffic, counter)
    measured("faults: hosts killed", killed, "times")
    measured("faults: claims whose holder was killed", orphans, "claims")
    measured("faults: batches written while hosts were killed", writes_of(traffic), "writes")


async def test_three_hosts_on_one_redis_have_each_effect_once_even_for_hot_keys(
    tmp_path: Path, rng: random.Random, soak: bool, measured: Callable[[str, float, str], None]
) -> None:
    """Some hosts pause until their leases have ended: others take over, and the paused host continues its work."""
    pauses, writes_per_kind = (20, 3000) if soak else (3, 600)
    paused = overtaken = 0
    async with (
        RedisProcess(tmp_path) as server,
        Traffic(server.port) as traffic,
        CommitCounter(server.port) as counter,
    ):
        async with hosts(3, f"127.0.0.1:{server.port}", tmp_path) as running:
            while paused < pauses or not overtaken:
                share = ceil(writes_per_kind / pauses)
                writing = asyncio.create_task(write_hot_and_cold(traffic, share, random.Random(rng.random())))
                host, claims = await pause_with_claims(traffic, running, rng)
                paused += 1
                await asyncio.sleep(LEASE_S / 2)
                claims &= await traffic.claims()
                await traffic.write(traffic.batch(f"hot{n}") for n in range(3))
                overtaken += len(claims)
                await traffic.taken_over(claims, SETTLE_S)
                await asyncio.sleep(rng.uniform(0, 0.3))
                host.resume()
                await writing
            await traffic.quiescent(SETTLE_S)
            await traffic.complete_pass(SETTLE_S)
        await check_outcome(traffic, counter)
    superseded = writes_of(traffic) - len(counter.counts)
    assert superseded > 0, "no content was replaced before it was processed"
    measured("faults: three hosts, writes", writes_of(traffic), "writes")
    measured("faults: contents replaced before they were processed", superseded, "contents")
    measured("faults: hosts paused beyond their leases", paused, "times")
    measured("faults: claims taken over while their holder was paused", overtaken, "claims")


async def wait_for_any_moment(traffic: Traffic, rng: random.Random) -> None:
    """Wait for a random time, or until some process holds a claim."""
    if rng.random() < 0.5:
        await asyncio.sleep(rng.uniform(0, 0.3))
        return
    for _ in range(100):
        if await traffic.claims():
            return
        await asyncio.sleep(rng.uniform(0, 0.01))


async def pause_with_claims(
    traffic: Traffic, running: list[HostProcess], rng: random.Random
) -> tuple[HostProcess, set[tuple[bytes, ...]]]:
    """Pause a process that holds claims, and return these: claims that no longer change."""
    while True:
        await traffic.write([traffic.batch(f"hot{rng.randrange(3)}", HEAVY_RECORDS)])
        await asyncio.sleep(rng.uniform(0, 0.05))
        host = rng.choice(running)
        host.pause()
        claims = await traffic.claims()
        await asyncio.sleep(0.1)
        if claims := claims & await traffic.claims():
            return host, claims
        host.resume()


async def write_batches(traffic: Traffic, total: int, rng: random.Random) -> None:
    """Bursts of small batches and some heavy ones, with short pauses; one in five changes an existing batch."""
    remaining = total
    while remaining:
        burst = min(remaining, rng.randint(1, MAX_BURST))
        remaining -= burst
        written = len(traffic.contents)
        numbers = [
            rng.randrange(written) if written and rng.random() < 0.2 else written + index for index in range(burst)
        ]
        await traffic.write(traffic.batch(f"b{n}", records_of(rng)) for n in numbers)
        await asyncio.sleep(rng.uniform(0, 0.05))


async def write_hot_and_cold(traffic: Traffic, each: int, rng: random.Random) -> None:
    """`each` batches and as many charts; half of the writes go to three hot keys, which change repeatedly."""
    remaining = {"batch": each, "chart": each}
    while kinds := [kind for kind, writes in remaining.items() if writes]:
        kind = rng.choice(kinds)
        burst = min(remaining[kind], rng.randint(1, MAX_BURST))
        remaining[kind] -= burst
        start, hot = len(traffic.contents), f"hot{rng.randrange(3)}"
        names = [hot if rng.random() < 0.5 else f"cold{start + n}" for n in range(burst)]
        if kind == "chart":
            await traffic.write(traffic.chart(name) for name in names)
        else:
            await traffic.write(traffic.batch(name, records_of(rng)) for name in names)
        await asyncio.sleep(rng.uniform(0, 0.02))


def records_of(rng: random.Random) -> int:
    return HEAVY_RECORDS if rng.random() < 0.05 else 3


async def check_outcome(traffic: Traffic, counter: CommitCounter) -> None:
    """After all hosts ended: every effect is of its present content, and each content counts once, in the model too."""
    await counter.complete()
    assert await traffic.lagging() == []
    check_commits(traffic, counter)
    committed = sum(traffic.readings[digest] * times for (_, digest), times in counter.of_batches().items())
    assert await traffic.model_readings() == committed


def writes_of(traffic: Traffic) -> int:
    return sum(map(len, traffic.contents.values()))
