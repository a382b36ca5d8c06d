"""The task of a process that keeps charts warm. It sleeps until the next chart of a source is due, by Redis' clock, or
until this process sees something new of a chart; all instances share the work through the sorted sets in Redis.

It runs beside the functions: a request that takes 10 s delays no event. refresh.py is imported when it is needed: an
app without sources does not pay for it.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from shared import telemetry
from shared.app import App
from shared.charts.schedule import PART, Signals, read_interest
from shared.delivery.failures import report_outage

if TYPE_CHECKING:
    from shared.charts.refresh import Taken
    from shared.sources.config import Source

MAX_WAIT_S = 5.0
"""Longest time between two looks: another instance may have made a chart due earlier than this one knows."""
MIN_WAIT_S = 0.005
INTEREST_S = 2.0
"""How often the interest of dashboards is read."""


@dataclass
class Refresher:
    """One per process."""

    _task: asyncio.Task[None] | None = None
    _stopping: bool = False
    _running: dict[str, set[asyncio.Task[None]]] = field(default_factory=dict)

    def look_after(self, open_app: Callable[[], App]) -> None:
        """Start the task unless it runs. Without sources it does nothing. Raises RuntimeError without a running event
        loop."""
        if self._task is None or self._task.done():
            app = open_app()
            if app.settings.chart_sources:
                with telemetry.background():
                    self._task = asyncio.get_running_loop().create_task(self.run(app))

    async def stop(self, app: App) -> None:
        """End the task, then wait for the fetches in progress: for tests."""
        self._stopping = True
        app.state(Signals).changed.set()
        if self._task:
            await self._task
        await asyncio.gather(*set().union(*self._running.values()))

    async def run(self, app: App) -> None:
        """Refresh charts until `stop`, which is for ever outside tests."""
        signals, interest_s = app.state(Signals), float("-inf")
        while not self._stopping:
            signals.changed.clear()
            signals.looks_at_s, wait_s = float("inf"), MAX_WAIT_S
            try:
                if time.monotonic() - interest_s >= INTEREST_S:
                    interest_s = time.monotonic()
                    await read_interest(app)
                for source in app.settings.sources.entries:
                    wait_s = min(wait_s, await self._take(app, source))
            except (RedisError, OSError) as error:
                report_outage(error, PART)
            else:
                telemetry.recovered("Redis", PART)
            wait_s = max(MIN_WAIT_S, min(wait_s, interest_s + INTEREST_S - time.monotonic()))
            signals.looks_at_s = time.monotonic() + wait_s
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await signals.changed.wait()

    async def _take(self, app: App, source: "Source") -> float:
        """Start the refreshes of a source that are due; returns how long there will be nothing more to do."""
        from shared.charts import refresh

        running = self._running.setdefault(source.name, set())
        taken = await refresh.take(app, source, app.settings.chart_fetch_concurrency - len(running))
        for key in taken.keys:
            task = asyncio.create_task(self._refresh(app, source, key, taken))
            running.add(task)
            task.add_done_callback(running.discard)
        return MAX_WAIT_S if taken.wait_s is None else taken.wait_s

    async def _refresh(self, app: App, source: "Source", key: bytes, taken: "Taken") -> None:
        from shared.charts import refresh

        try:
            await refresh.refresh(app, source, key, taken)
        except (RedisError, OSError) as error:
            report_outage(error, PART)
        except Exception as error:  # the chart is due again when its lease ends
            telemetry.logger.error("refresh of a chart failed: %s", type(error).__name__, exc_info=False)
        finally:
            app.state(Signals).changed.set()
