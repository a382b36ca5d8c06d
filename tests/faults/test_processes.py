"""Worker processes that die, stand still or get in each other's way."""

import asyncio
import random
from collections.abc import Callable
from math import ceil
from pathlib import Path

import pytest

from tests.support.rig import HostProcess, RedisProcess, hosts
from tests.support.traffic import CommitCounter, Traffic, check_commits

pytestmark = pytest.mark.timeout(120)

LONGEST_BURST = 30
HEAVY_RECORDS = 25_000
"""Readings of a batch whose analysis takes some 40 ms: while that lasts, a process dies with the claim in its hand."""
SETTLE_S = 30.0
LEASE_S = 1.0


async def test_workers_killed_at_any_moment_lose_nothing_and_do_nothing_twice(
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
                await a_moment(traffic, rng)
                await victim.kill()
                killed += 1
                claims = await traffic.claims()
                await victim.start()
                orphans += len(claims & await traffic.claims())
                await writing
            await traffic.quiescent(SETTLE_S)
            await traffic.swept(SETTLE_S)
        await check_outcome(traffic, counter)
    measured("faults: hosts killed", killed, "times")
    measured("faults: claims whose holder was killed", orphans, "claims")
    measured("faults: batches written while hosts were killed", writes_of(traffic), "writes")


async def test_three_hosts_on_one_redis_do_everything_once_hot_keys_included(
    tmp_path: Path, rng: random.Random, soak: bool, measured: Callable[[str, float, str], None]
) -> None:
    """One of them now and then stands still past its leases: others take over, and it goes on where it was."""
    pauses, writes_each = (20, 3000) if soak else (3, 600)
    paused = overtaken = 0
    async with (
        RedisProcess(tmp_path) as server,
        Traffic(server.port) as traffic,
        CommitCounter(server.port) as counter,
    ):
        async with hosts(3, f"127.0.0.1:{server.port}", tmp_path) as running:
            while paused < pauses or not overtaken:
                share = ceil(writes_each / pauses)
                writing = asyncio.create_task(write_hot_and_cold(traffic, share, random.Random(rng.random())))
                host, claims = await pause_at_work(traffic, running, rng)
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
            await traffic.swept(SETTLE_S)
        await check_outcome(traffic, counter)
    superseded = writes_of(traffic) - len(counter.counts)
    assert superseded > 0, "no content was replaced before it was processed"
    measured("faults: three hosts, writes", writes_of(traffic), "writes")
    measured("faults: contents replaced before they were processed", superseded, "contents")
    measured("faults: hosts stood still past their leases", paused, "times")
    measured("faults: claims taken over while their holder stood still", overtaken, "claims")


async def a_moment(traffic: Traffic, rng: random.Random) -> None:
    """Any moment, or any in which some process holds a claim."""
    if rng.random() < 0.5:
        await asyncio.sleep(rng.uniform(0, 0.3))
        return
    for _ in range(100):
        if await traffic.claims():
            return
        await asyncio.sleep(rng.uniform(0, 0.01))


async def pause_at_work(
    traffic: Traffic, running: list[HostProcess], rng: random.Random
) -> tuple[HostProcess, set[tuple[bytes, ...]]]:
    """Let a process stand still that seems to hold claims: these do not change any more."""
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
    """Bursts of small batches and some heavy ones with short pauses; one in five changes a batch that was there."""
    left = total
    while left:
        burst = min(left, rng.randint(1, LONGEST_BURST))
        left -= burst
        written = len(traffic.contents)
        numbers = [
            rng.randrange(written) if written and rng.random() < 0.2 else written + index for index in range(burst)
        ]
        await traffic.write(traffic.batch(f"b{n}", records_of(rng)) for n in numbers)
        await asyncio.sleep(rng.uniform(0, 0.05))


async def write_hot_and_cold(traffic: Traffic, each: int, rng: random.Random) -> None:
    """So many batches and as many charts; half of them for three hot keys, which change many times in one go."""
    left = {"batch": each, "chart": each}
    while kinds := [kind for kind, writes in left.items() if writes]:
        kind = rng.choice(kinds)
        burst = min(left[kind], rng.randint(1, LONGEST_BURST))
        left[kind] -= burst
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
    """With all hosts gone: every effect is of its live content, each content counts once, in the baseline too."""
    await counter.complete()
    assert await traffic.lagging() == []
    check_commits(traffic, counter)
    committed = sum(traffic.readings[digest] * times for (_, digest), times in counter.of_batches().items())
    assert await traffic.model_readings() == committed


def writes_of(traffic: Traffic) -> int:
    return sum(map(len, traffic.contents.values()))
