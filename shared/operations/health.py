"""Whether the app does what it is there for: does Redis answer and notify, is work piling up, is the audit log shipped.

`failed`: events cannot flow, or nothing can come of them. `degraded`: they do, and something needs attention before it
becomes a loss.
"""

import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared import namespaces
from shared.app import App
from shared.audit import state as audit
from shared.delivery import dead_letters, reconcile, retries
from shared.operations.notification_flags import missing_flags

if TYPE_CHECKING:
    from redis.asyncio import Redis

SWEEP_LATE_S = 600.0
"""Age of the last finished sweep past which something is wrong with the timers; by default it runs each 30 s."""
AUDIT_LATE_S = 600.0
"""Time since the last successful export past which waiting records are a reason to look; by default it runs each
minute."""
TRIAL_TTL_MS = 10_000
_TRIAL = namespaces.build(namespaces.DOCTOR, "health")
MANY_RETRIES = 1000
NEARLY_FULL = 0.9


@dataclass(frozen=True)
class Health:
    """`status` is ok, degraded or failed; `reasons` say why it is not ok. `flags` is None where the server does not
    tell. `details` are what the reasons follow from, as JSON values by name."""

    status: str
    reasons: tuple[str, ...] = ()
    redis_round_trip_ms: float | None = None
    notify_keyspace_events: str | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "reasons": list(self.reasons),
            "redis": {
                "roundTripMs": self.redis_round_trip_ms,
                "notifyKeyspaceEvents": self.notify_keyspace_events,
            },
            **self.details,
        }


async def check(redis: "Redis") -> Health:
    """Measure one round trip and read the notification flags. Never raises for a server that is away or refuses."""
    from redis.exceptions import RedisError, ResponseError

    try:
        started = time.perf_counter()
        await redis.ping()
        round_trip_ms = round((time.perf_counter() - started) * 1000, 3)
    except (RedisError, OSError) as fault:
        return Health("failed", (f"Redis does not answer: {type(fault).__name__}",))
    try:
        config = await redis.config_get("notify-keyspace-events")
    except ResponseError:  # Azure blocks CONFIG: the flags are the portal's to show
        return Health("ok", ("the server does not let its notification flags be read",), round_trip_ms)
    except (RedisError, OSError) as fault:
        return Health("failed", (f"Redis does not answer: {type(fault).__name__}",), round_trip_ms)
    flags = str(config.get("notify-keyspace-events", ""))
    faults = missing_flags(flags)
    return Health("failed" if faults else "ok", faults, round_trip_ms, flags)


async def check_app(app: App) -> Health:
    """`check`, whether Redis takes writes, and what piles up: retries, dead letters, audit records, late sweeps.

    Never raises for a server that is away or refuses.
    """
    from redis.exceptions import RedisError, ResponseError

    found = await check(app.redis)
    if found.redis_round_trip_ms is None:
        return found
    refused = []

    async def look[T](what: str, answer: Awaitable[T]) -> T | None:
        try:
            return await answer
        except ResponseError as fault:  # another application's value, or a permission that is missing
            refused.append(f"Redis refuses a look at {what}: {type(fault).__name__}")
            return None

    try:
        unwritable = await _unwritable(app)
        waiting, letters = await look("retries", retries.waiting(app)), await look("letters", dead_letters.totals(app))
        swept, log = await look("the sweep", reconcile.last_pass(app)), await look("the audit log", audit.state(app))
        export_s = await export_age_s(app, log) if log else None
    except (RedisError, OSError) as fault:
        return Health("failed", (*found.reasons, f"Redis does not answer: {type(fault).__name__}"))
    late = [
        *refused,
        *_backlog(waiting, letters, app.settings.dead_letters_max),
        *_sweep(swept),
        *_audit(log, export_s, app.settings.audit_buffer),
    ]
    status = "failed" if unwritable else "degraded" if found.status == "ok" and late else found.status
    reasons = (*found.reasons, *unwritable, *late)
    details = _details(waiting, letters, swept, log)
    return Health(status, reasons, found.redis_round_trip_ms, found.notify_keyspace_events, details)


def _details(
    waiting: int | None,
    letters: dead_letters.Totals | None,
    swept: reconcile.LastPass | None,
    log: audit.AuditState | None,
) -> dict[str, Any]:
    totals = {"count": letters.count, "bytes": letters.bytes, "dropped": letters.dropped} if letters else None
    shipped = log and {
        "pending": log.pending,
        "lastSuccessAge_s": log.last_success_age_s,
        "error": log.error,
        "gaps": log.gaps,
        "resets": log.resets,
    }
    return {
        "retries": {"waiting": waiting},
        "deadLetters": totals,
        "sweep": {"age_s": round(swept.age_s, 1), "seen": swept.seen} if swept else None,
        "audit": shipped,
    }


async def _unwritable(app: App) -> list[str]:
    """Why Redis takes no writes: it is full, a replica, or cannot save; nothing where it does. Found by trying."""
    from redis.exceptions import ResponseError

    try:
        await app.redis.set(_TRIAL, b"", px=TRIAL_TTL_MS)
    except ResponseError as fault:
        return [f"Redis takes no writes: {type(fault).__name__}"]
    return []


async def export_age_s(app: App, log: audit.AuditState) -> float | None:
    """How long audit records have waited for storage: since the last successful export, or, before the first one, since
    the oldest was written. None where none waits. Raises what the Redis client raises."""
    if not log.pending or log.last_success_age_s is not None:
        return log.last_success_age_s if log.pending else None
    pipeline = app.redis.pipeline(transaction=False)
    pipeline.xrange(namespaces.build(namespaces.AUDIT_STREAM), count=1)
    pipeline.time()
    oldest, (seconds, _) = await pipeline.execute()
    return max(0.0, seconds - int(oldest[0][0].partition(b"-")[0]) / 1000) if oldest else None


def _backlog(waiting: int | None, letters: dead_letters.Totals | None, letters_max: int) -> list[str]:
    late = []
    if waiting is not None and waiting > MANY_RETRIES:
        late.append(f"{waiting} keys wait for a retry")
    if letters is None:
        return late
    if letters.dropped:
        late.append(f"{letters.dropped} dead letters were dropped because there was no room for them")
    elif letters.count > NEARLY_FULL * letters_max:
        late.append(f"{letters.count} dead letters: there is room for {letters_max}")
    return late


def _sweep(swept: reconcile.LastPass | None) -> list[str]:
    if swept is None or swept.age_s <= SWEEP_LATE_S:
        return []  # none was finished yet: a new app, or a flushed Redis
    return [f"the last sweep ended {swept.age_s:.0f} s ago"]


def _audit(log: audit.AuditState | None, export_s: float | None, buffer: int) -> list[str]:
    late: list[str] = []
    if log is None:
        return late
    if not log.configured:
        late.append("AzureWebJobsStorage is not set: audit records stay in Redis")
    elif log.error:
        late.append(f"audit records cannot be written to storage: {log.error}; {log.pending} wait in Redis")
    elif export_s is not None and export_s > AUDIT_LATE_S:
        never = log.last_success_age_s is None
        since = "none was exported yet, the oldest is from" if never else "the last export was"
        late.append(f"{log.pending} audit records wait; {since} {export_s:.0f} s ago")
    if log.pending > NEARLY_FULL * buffer:
        late.append(f"{log.pending} audit records wait in Redis, which keeps {buffer}: the oldest go next")
    if log.broken:
        late.append("the end of an audit file was altered; a new chain was begun: verify the log")
    return late
