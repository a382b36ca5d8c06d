"""Invocation overhead: the time between two invocations of a function, and how exact it is."""

import statistics
import time
from itertools import pairwise

import pytest

from local.host.host import Host
from local.host.overhead import parse_duration

TWO = """
    import time

    times = {"first": [], "second": []}

    @on("__keyspace@0__:first:*")
    async def first(message: str):
        times["first"].append(time.monotonic())

    @on("__keyspace@0__:second:*")
    async def second(message: str):
        times["second"].append(time.monotonic())
"""
MESSAGES = 150


@pytest.mark.both_loops
async def test_between_two_invocations_of_a_function_passes_the_overhead_of_each_beside_the_other(
    make_app, redis_client, loaded
) -> None:
    async with Host(make_app(TWO), http_port=0, invocation_overhead_s=0.002) as host:
        pipeline = redis_client.pipeline(transaction=False)
        for number in range(MESSAGES):
            pipeline.set(f"first:{number}", "").set(f"second:{number}", "")
        await pipeline.execute()
        await host.drained()
        first, second = loaded().times.values()
    gaps_s = [after - before for before, after in pairwise(first)]
    assert len(gaps_s) == MESSAGES - 1
    # Other tests run at once and delay some wake-ups; the shortest gaps are those of an event loop that was free.
    assert 0.0017 < statistics.quantiles(gaps_s, n=10)[0] < 0.003
    overlap_s = min(first[-1], second[-1]) - max(first[0], second[0])
    assert overlap_s > (MESSAGES - 1) * 0.002 * 0.8


async def test_a_lone_message_waits_for_the_overhead_too(make_app, redis_client, loaded) -> None:
    async with Host(make_app(TWO), http_port=0, invocation_overhead_s=0.05) as host:
        await redis_client.set("first:a", "")
        sent_s = time.monotonic()
        await host.drained()
        assert loaded().times["first"][0] - sent_s > 0.045


def test_a_duration_has_a_unit() -> None:
    assert [parse_duration(text) for text in ("0ms", "0.65ms", "5ms", "1.5s")] == [0.0, 0.00065, 0.005, 1.5]
    for text in ("", "5", "5 ms", "-1ms", "1e3ms", "infs", "5min"):
        with pytest.raises(ValueError, match="ms or s"):
            parse_duration(text)
