"""Charts: every update is rendered into a cache.

5,000 updates in two ways: one of each of 5,000 charts, all of which must be rendered; and ten rounds of 500 charts,
like a dashboard's data, where an update that is overwritten before its turn need not be rendered.
"""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

from bench.hosts import Meter, Write, figures_of, fresh_redis, ready_hosts, until_all_exist, write
from bench.processes import still
from bench.trial import Figures, Plan, Size, Trial
from shared import namespaces

UPDATES = {Size.FULL: 5000, Size.QUICK: 300}
ROUNDS = (1, 10)
POINTS = 1000
CONSUMERS = ("app", "naive")
_LINES = {"co2Flow": (1.2, 0.05), "waterFlow": (30.0, 0.6), "tracerFlow": (0.4, 0.01)}
_BODIES = 20


def trials(plan: Plan) -> list[Trial]:
    return [
        plan.hosted(
            "charts", consumer, f"charts={updates // rounds}", partial(refresh, consumer, updates // rounds, rounds)
        )
        for updates in (UPDATES[plan.size],)
        for rounds in ROUNDS
        for consumer in CONSUMERS
    ]


async def refresh(consumer: str, count: int, rounds: int, *, overhead_ms: float) -> Figures:
    """One host: from the first write to the last cache; with several rounds, until the host is idle."""
    writes = [item for edition in range(rounds) for item in charts(count, POINTS, edition)]
    async with fresh_redis() as (server, client), ready_hosts(consumer, server, overhead_ms=overhead_ms) as hosts:
        await still(hosts)
        meter = await Meter.start(client, hosts)
        await write(client, writes, ttl_s=namespaces.CHART_DATA_TTL_S)
        caches = [cache_key(number) for number in range(count)]
        await until_all_exist(client, caches, hosts, total=2 * count)
        if rounds == 1:
            return await figures_of(meter, count, hosts)
        idle_since_s = await still(hosts)
        return await meter.read(rounds * count, idle_since_s)


def charts(count: int, points: int, edition: int = 0) -> Iterator[Write]:
    """Keys and contents as the dashboard writes them: rows of three values, one per second; 98 KB for 1,000 points. The
    first row differs between charts and between editions."""
    bodies = [_rows(random.Random(number), points) for number in range(_BODIES)]
    for number in range(count):
        first, others = bodies[number % _BODIES]
        row = _json(first | {"co2Flow": number / 1000 + edition})
        yield namespaces.build(namespaces.CHART_DATA, *_names(number)), b"[" + row + b"," + others


def cache_key(number: int) -> bytes:
    return namespaces.build(namespaces.CHART_CACHE, *_names(number))


def _rows(chance: random.Random, points: int) -> tuple[dict[str, float | str], bytes]:
    """The first row, and the text of the others."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    times = (start + timedelta(seconds=second) for second in range(points))
    first, *others = (
        {"timestamp": time.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        | {name: round(chance.gauss(*shape), 4) for name, shape in _LINES.items()}
        for time in times
    )
    return first, _json(others).removeprefix(b"[")


def _json(value: object) -> bytes:
    """JSON as JavaScript writes it, without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


def _names(number: int) -> tuple[str, str]:
    return f"bench-{number}", "realtime"
