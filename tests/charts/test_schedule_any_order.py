"""Whatever clients, Redis and instances do to a chart, in any order: what is there is due in time, what was deleted is
not."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import msgspec
import pytest
import redis.asyncio

from shared.app import App
from shared.charts import reactor as charts
from shared.charts import refresh, schedule
from shared.reactor import Cause
from shared.settings import Settings
from tests.support.chart_source import ChartSource
from tests.support.warm_charts import CLIENT_ROWS, KEY, STATE, failing, opened, with_source

STEPS = 60
LATE_MS = 150
"""How much later than its expiry a chart may be due: the slack within which two expiries count as one, and the time of
a look."""


class Chart:
    """A chart in a Redis, and what may be done to it. `deleted`: whether the app knows that a client deleted it."""

    def __init__(self, app: App, source: ChartSource, chance: random.Random) -> None:
        self.app, self.source, self.chance = app, source, chance
        self.entry = app.settings.sources.entries[0]
        self.deleted = False

    async def event(self, cause: Cause) -> None:
        await charts.react(self.app, [KEY], cause)

    async def write(self) -> None:
        await self.app.redis.set(KEY, CLIENT_ROWS, px=self.chance.choice([40, 300, 5000, 300_000]))
        await self.event(Cause.WRITTEN)
        self.deleted = False

    async def write_without_ttl(self) -> None:
        await self.app.redis.set(KEY, CLIENT_ROWS)
        await self.event(Cause.WRITTEN)
        self.deleted = False

    async def touch(self) -> None:
        """Its event is dropped."""
        await self.app.redis.pexpire(KEY, self.chance.choice([30, 400, 60_000]))

    async def persist(self) -> None:
        await self.app.redis.persist(KEY)

    async def delete(self) -> None:
        if await self.app.redis.delete(KEY):
            await self.event(Cause.DELETED)
            self.deleted = True

    async def evict(self) -> None:
        if await self.app.redis.delete(KEY):
            await self.event(Cause.EVICTED)
            self.deleted = False

    async def lapse(self) -> None:
        """With an event or without."""
        if await self.app.redis.exists(KEY):
            await self.app.redis.pexpire(KEY, 1)
            await asyncio.sleep(0.003)
            await self.event(self.chance.choice([Cause.EXPIRED, Cause.RECONCILE]))

    async def use(self) -> None:
        chart = schedule.chart_of(self.app, KEY)
        assert chart
        await schedule.note(self.app, [chart], "used")

    async def lose_state(self) -> None:
        """Redis evicts it."""
        await self.app.redis.delete(self.chance.choice([STATE, schedule.due_key(self.entry)]))
        self.deleted = False

    async def refresh(self) -> None:
        self.source.answer = self.chance.choice([self.source.rows, failing])
        taken = await refresh.take(self.app, self.entry, 8)
        for key in taken.keys:
            await refresh.refresh(self.app, self.entry, key, taken)

    async def check(self) -> None:
        """After one more look, as each sweep has it."""
        await self.event(Cause.RECONCILE)
        client = self.app.redis
        due_ms, ttl_ms = await client.zscore(schedule.due_key(self.entry), KEY), await client.pttl(KEY)
        now_ms = time.time() * 1000
        if ttl_ms >= 0:
            assert due_ms is not None
            assert due_ms <= now_ms + ttl_ms + LATE_MS
        elif ttl_ms == -1:
            assert due_ms is None or due_ms <= now_ms + 1000 + LATE_MS
        elif self.deleted:
            assert due_ms is None
        else:
            assert due_ms is not None or await client.hget(STATE, "deleted") == b"1"
        for key in await client.keys("functions:charts:*"):
            assert await client.ttl(key) > 0, key


@pytest.mark.parametrize("seed", range(12))
async def test_a_chart_is_due_when_it_expires_at_the_latest_unless_a_client_deleted_it(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource, seed: int
) -> None:
    chance = random.Random(seed)
    settings = msgspec.structs.replace(
        with_source(app_settings, source, ttl_s=chance.choice([2, 300]), refresh_ahead_s=chance.choice([0, 1])),
        chart_active_s=chance.choice([0, 900]),
    )
    async with opened(settings) as app:
        chart = Chart(app, source, chance)
        steps: list[Callable[[], Awaitable[None]]] = [
            *(chart.write, chart.write_without_ttl, chart.touch, chart.persist, chart.delete, chart.evict),
            *(chart.lapse, chart.use, chart.lose_state, chart.refresh, chart.refresh, chart.refresh),
        ]
        done = []
        for _ in range(STEPS):
            step = chance.choice(steps)
            done.append(step.__name__)
            await step()
            try:
                await chart.check()
            except AssertionError as error:
                raise AssertionError(f"after {done}") from error
