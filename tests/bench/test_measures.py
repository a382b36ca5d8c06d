"""What experiments make of what they see: the longest command of the app, and how long reactions are late."""

import pytest
import redis.asyncio

from bench.deaf import PER_S, deafness
from bench.hosts import longest_command
from shared.store.connection import ConnectionOptions

BUSY = "local n = 0 for i = 1, ARGV[1] do n = n + i end return n"


async def test_the_longest_command_is_one_of_the_app(redis_client: redis.asyncio.Redis, redis_port: int) -> None:
    before = await redis_client.config_get("slowlog*")
    await redis_client.config_set("slowlog-log-slower-than", 500)
    await redis_client.slowlog_reset()
    try:
        await redis_client.eval(BUSY, 0, 2_000_000)
        assert await longest_command(redis_client) == {}
        async with redis.asyncio.Redis(port=redis_port, client_name=f"{ConnectionOptions.client_name}-ear") as of_app:
            await of_app.eval(BUSY, 0, 500_000)
        slow = await redis_client.slowlog_get()
        assert await longest_command(redis_client) == {"longest_command_ms": slow[0]["duration"] / 1000}
        assert slow[0]["duration"] < slow[1]["duration"]
    finally:
        await redis_client.config_set("slowlog-log-slower-than", before["slowlog-log-slower-than"])
        await redis_client.slowlog_reset()


@pytest.mark.parametrize(
    ("late", "late_for_s"),
    [
        (range(0), 0.0),
        (range(500, 800), 3.0),
        ([*range(500, 800), 850], 3.51),  # a second without a late reaction has to pass
        (range(500, 2000), 14.99),  # to the end
    ],
)
def test_reactions_are_late_until_a_second_without_a_late_one_begins(late, late_for_s: float) -> None:
    sent_s = [number / PER_S for number in range(2000)]
    latencies_ms = [5.0 if number < 500 else 8.0 for number in range(2000)]
    for number in late:
        latencies_ms[number] = 30_000.0
    figures = deafness(sent_s, latencies_ms, fault_s=5.0)
    assert figures["late_for_s"] == pytest.approx(late_for_s)
    assert figures["latest_s"] == (30.0 if late else 0.008)
    assert figures["p99_before_ms"] == 5.0
    assert figures["p99_after_ms"] == (30_000.0 if late_for_s > 14 else 8.0)
