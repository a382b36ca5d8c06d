"""Whether the app does what it is there for: does Redis answer and notify, is work piling up, is the audit log shipped.

`failed`: events cannot flow. `degraded`: they do, and something needs attention before it becomes a loss.
"""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared import dead_letters, retries, sweep
from shared.audit import state as audit
from shared.context import Context
from shared.notifications import missing_flags

if TYPE_CHECKING:
    from redis.asyncio import Redis

SWEEP_LATE_S = 600.0
"""Age of the last finished sweep past which something is wrong with the timers; by default it runs each 30 s."""
AUDIT_LATE_S = 600.0
"""Time since the last successful export past which waiting records are a reason to look; by default it runs each
minute."""
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


async def check_app(app: Context) -> Health:
    """`check`, and what piles up: retries, dead letters, audit records, late sweeps.

    Never raises for a server that is away.
    """
    from redis.exceptions import RedisError

    found = await check(app.redis)
    if found.redis_round_trip_ms is None:
        return found
    try:
        waiting, letters = await retries.waiting(app), await dead_letters.totals(app)
        swept, log = await sweep.last_round(app), await audit.state(app)
    except (RedisError, OSError) as fault:
        return Health("failed", (*found.reasons, f"Redis does not answer: {type(fault).__name__}"))
    late = [
        *_backlog(waiting, letters, app.settings.dead_letters_max),
        *_sweep(swept),
        *_audit(log, app.settings.audit_buffer),
    ]
    details = {
        "retries": {"waiting": waiting},
        "deadLetters": {"count": letters.count, "bytes": letters.bytes, "dropped": letters.dropped},
        "sweep": {"age_s": round(swept.age_s, 1), "seen": swept.seen} if swept else None,
        "audit": {
            "pending": log.pending,
            "lastSuccessAge_s": log.last_success_age_s,
            "error": log.error,
            "gaps": log.gaps,
            "resets": log.resets,
        },
    }
    status = "degraded" if found.status == "ok" and late else found.status
    return Health(status, (*found.reasons, *late), found.redis_round_trip_ms, found.notify_keyspace_events, details)


def _backlog(waiting: int, letters: dead_letters.Totals, letters_max: int) -> list[str]:
    late = []
    if waiting > MANY_RETRIES:
        late.append(f"{waiting} keys wait for a retry")
    if letters.dropped:
        late.append(f"{letters.dropped} dead letters were dropped because there was no room for them")
    elif letters.count > NEARLY_FULL * letters_max:
        late.append(f"{letters.count} dead letters: there is room for {letters_max}")
    return late


def _sweep(swept: sweep.LastRound | None) -> list[str]:
    if swept is None or swept.age_s <= SWEEP_LATE_S:
        return []  # none was finished yet: a new app, or a flushed Redis
    return [f"the last sweep ended {swept.age_s:.0f} s ago"]


def _audit(log: audit.AuditState, buffer: int) -> list[str]:
    late = []
    if not log.configured:
        late.append("AzureWebJobsStorage is not set: audit records stay in Redis")
    elif log.error:
        late.append(f"audit records cannot be written to storage: {log.error}; {log.pending} wait in Redis")
    elif log.pending and log.last_success_age_s is not None and log.last_success_age_s > AUDIT_LATE_S:
        late.append(f"{log.pending} audit records wait; the last export was {log.last_success_age_s:.0f} s ago")
    if log.pending > NEARLY_FULL * buffer:
        late.append(f"{log.pending} audit records wait in Redis, which keeps {buffer}: the oldest go next")
    if log.broken:
        late.append("the end of an audit file was altered; a new chain was begun: verify the log")
    return late
