"""Whether events can flow: is Redis there, how fast does it answer, does it notify."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.notifications import missing_flags

if TYPE_CHECKING:
    from redis.asyncio import Redis


@dataclass(frozen=True)
class Health:
    """`status` is ok or failed; `reasons` say why it is not ok. `flags` is None where the server does not tell."""

    status: str
    reasons: tuple[str, ...] = ()
    redis_round_trip_ms: float | None = None
    notify_keyspace_events: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "reasons": list(self.reasons),
            "redis": {
                "roundTripMs": self.redis_round_trip_ms,
                "notifyKeyspaceEvents": self.notify_keyspace_events,
            },
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
