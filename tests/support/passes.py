"""Reconciliation passes."""

import asyncio
from collections.abc import Sequence

from shared.app import App
from shared.delivery import reconcile
from shared.delivery.reconcile import PassReport
from shared.reactor import Reactor
from shared.registry import BATCHES, CHARTS
from tests.support.reactors import Gate

REACTORS = (BATCHES, CHARTS)


async def make_pass(
    app: App, reactors: Sequence[Reactor] = REACTORS, *, budget_s: float = 10.0, anew: bool = False
) -> PassReport:
    """A call of `reconcile`, by default long enough for a complete pass."""
    return await reconcile.reconcile(app, reactors, budget_s=budget_s, anew=anew)


async def start_pass(app: App, gate: Gate) -> asyncio.Task[PassReport]:
    """Start a pass that waits in the reactor of `gate`, which this closes."""
    await app.redis.set("gate:1", b"")
    gate.open.clear()
    task = asyncio.create_task(make_pass(app, [gate.reactor]))
    await asyncio.wait_for(gate.reached.wait(), 10)
    return task
