"""The app uses much less CPU than naive functions. bench/run measures exact figures; here other tests run at once."""

import sys
from collections.abc import Callable

import pytest

from bench.bursts import burst
from bench.consumers import CONSUMERS

BATCHES = 3000
"""The app notices that messages queue up within some 50 ms; what comes in that time is reacted to singly."""
FIGURE = "cpu_us_per_event"
LEAST_RATIO = 2.0
ATTEMPTS = 3


@pytest.mark.skipif(sys.platform != "linux", reason="the CPU time of processes is read from /proc")
async def test_a_burst_takes_much_less_cpu_than_one_event_at_a_time(
    measured: Callable[[str, float, str], None],
) -> None:
    """In CPU time, which other processes affect least. They affect both consumers, so the best attempt counts."""
    best = 0.0
    for _ in range(ATTEMPTS):
        app, naive = [
            await burst(CONSUMERS[name], 1, BATCHES, overhead_ms=0, until_idle=False) for name in ("app", "naive")
        ]
        best = max(best, naive[FIGURE] / app[FIGURE])
        if best >= LEAST_RATIO:
            break
    measured("CPU of a burst, naive over app", best, "")
    assert best >= LEAST_RATIO
