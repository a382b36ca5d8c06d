"""What waits: the figures of the metric keyspace_functions.backlog."""

from collections.abc import Awaitable, Callable

from redis.exceptions import ResponseError

from shared import telemetry
from shared.app import App
from shared.audit import state as audit
from shared.delivery import dead_letters, retries


async def read(app: App) -> dict[str, int]:
    """The number that waits, by kind; without those that Redis refuses to read. Raises RedisError or OSError when Redis
    is away."""
    figures = {}
    for what, figure in _FIGURES.items():
        try:
            figures[what] = await figure(app)
        except ResponseError as error:
            telemetry.logger.debug("no figure for %s: %s", what, type(error).__name__)
    return figures


async def _letters(app: App) -> int:
    return (await dead_letters.totals(app)).count


async def _records(app: App) -> int:
    return (await audit.state(app)).pending


_FIGURES: dict[str, Callable[[App], Awaitable[int]]] = {
    "retries": retries.waiting,
    "dead_letters": _letters,
    "audit_records": _records,
}
