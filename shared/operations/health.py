"""The app's health: whether Redis answers, notifies and takes writes, whether work piles up, whether audit records are
exported, whether the sources of charts answer.

`failed`: events cannot flow, or their effects cannot be written. `degraded`: they can, and something needs attention
before it becomes a loss.
"""

import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from shared import namespaces, telemetry
from shared.app import App
from shared.audit import state as audit
from shared.charts import source_state
from shared.delivery import catch_up, dead_letters, reconcile, retries
from shared.intake.intake import Report, Running, State
from shared.operations import instances
from shared.operations.instances import NAMED, UNABLE, Instance
from shared.operations.notification_flags import missing_flags
from shared.reactor import Result
from shared.settings import Settings
from shared.store.refusals import is_wrong_type, why_away
from shared.words import counted

SWEEP_LATE_S = 600.0
"""Time without a sweep above which the timers have a problem; by default one works every few seconds."""
TIMERS_SILENT_S = 60.0
"""Time since the retry timer ran, which by default is every 5 s, from which on the timers stand still: their locks are
those of a host that was killed, or storage is away."""
AUDIT_LATE_S = 600.0
"""Time since the last successful export above which pending records are a problem; by default the export runs every
minute."""
HEARS_AFTER_S = 10.0
"""Time after which an instance with a deaf trigger hears by itself, or cannot."""
WRITE_TEST_TTL_MS = 10_000
_WRITE_TEST = namespaces.build(namespaces.DOCTOR, "health")
MANY_RETRIES = 1000
NEARLY_FULL = 0.9


@dataclass(frozen=True)
class Health:
    """`status` is ok, degraded or failed; `reasons` say why it is not ok. `notify_keyspace_events` is None where the
    server does not show it. `details` are the figures behind the reasons, as JSON values by name."""

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


async def check(redis: Redis) -> Health:
    """Measure one round trip and read the notification flags. Raises nothing when Redis is away or refuses commands."""
    try:
        started = time.perf_counter()
        await redis.ping()
        round_trip_ms = round((time.perf_counter() - started) * 1000, 3)
    except (RedisError, OSError) as error:
        return Health("failed", (why_away(error),))
    try:
        config = await redis.config_get("notify-keyspace-events")
    except ResponseError:  # Azure blocks CONFIG; the portal shows the flags
        return Health("ok", ("the server does not show its notification flags",), round_trip_ms)
    except (RedisError, OSError) as error:
        return Health("failed", (why_away(error),), round_trip_ms)
    flags = str(config.get("notify-keyspace-events", ""))
    missing = missing_flags(flags)
    return Health("failed" if missing else "ok", missing, round_trip_ms, flags)


async def check_app(app: App) -> Health:
    """`check`, whether Redis takes writes, what piles up (retries, dead letters, audit records, late sweeps), and which
    sources of charts are away.

    Raises nothing when Redis is away or refuses commands.
    """
    health = await check(app.redis)
    if health.redis_round_trip_ms is None:
        return health
    refused = []

    async def read[T](what: str, answer: Awaitable[T]) -> T | None:
        try:
            return await answer
        except ResponseError as error:
            reason = "the key holds another application's value" if is_wrong_type(error) else type(error).__name__
            refused.append(f"Redis refuses to read {what}: {reason}")
            return None

    try:
        unwritable = await _unwritable(app)
        waiting, letters = await read("retries", retries.waiting(app)), await read("letters", dead_letters.totals(app))
        recent = await read("letters", dead_letters.recent(app, app.settings.dead_letters_alert_s)) if letters else 0
        last_pass = await read("the sweep", reconcile.last_pass(app))
        timer_s = await read("the timers", catch_up.timer_age_s(app))
        log = await read("the audit log", audit.state(app))
        export_s = await export_age_s(app, log) if log else None
        living = await read("the instances", instances.read(app))
        sources = await read("the sources of charts", source_state.read_sources(app))
    except (RedisError, OSError) as error:
        return Health("failed", (*health.reasons, why_away(error)))
    running = app.state(Running).intake
    report = running.report() if running else None
    failures = [*unwritable, *deaf_for_long(report, app.settings)]
    problems = [
        *app.settings.concerns,
        *trigger_problems(report, living or ()),
        *(f"Redis refuses {part}: {error}" for part, error in telemetry.refused_parts("Redis").items()),
        *refused,
        *_backlog(waiting, letters, recent or 0, app.settings),
        *_sweep(last_pass),
        *_timers(timer_s, app.settings.retry_schedule),
        *_audit(log, export_s, app.settings.audit_buffer),
        *source_state.away(sources or ()),
    ]
    status = "failed" if failures else "degraded" if health.status == "ok" and problems else health.status
    reasons = (*health.reasons, *failures, *problems)
    details = _details(waiting, letters, last_pass, log)
    if letters:
        details["deadLetters"]["recent"] = recent
    details["trigger"] = report and _trigger_details(report)
    details["instances"] = msgspec.to_builtins(living or [])
    details["timers"] = None if timer_s is None else {"ageS": round(timer_s, 1)}
    return Health(status, reasons, health.redis_round_trip_ms, health.notify_keyspace_events, details)


def _details(
    waiting: int | None,
    letters: dead_letters.Totals | None,
    last_pass: reconcile.LastPass | None,
    log: audit.AuditState | None,
) -> dict[str, Any]:
    totals = {"count": letters.count, "bytes": letters.bytes, "dropped": letters.dropped} if letters else None
    export = log and {
        "pending": log.pending,
        "lastSuccessAgeS": log.last_success_age_s,
        "error": log.error,
        "gaps": log.gaps,
        "resets": log.resets,
    }
    return {
        "retries": {"waiting": waiting},
        "deadLetters": totals,
        "sweep": last_pass and _sweep_details(last_pass),
        "audit": export,
    }


def _sweep_details(last_pass: reconcile.LastPass) -> dict[str, Any]:
    return {
        "ageS": round(last_pass.age_s, 1),
        "durationS": round(last_pass.duration_s, 1),
        "seen": last_pass.seen,
        "found": last_pass.outcomes.get(Result.PROCESSED, 0),
        "workedAgeS": round(last_pass.worked_age_s, 1),
        "seenSince": last_pass.seen_since,
    }


def deaf_for_long(report: Report | None, settings: Settings) -> list[str]:
    """Why the platform should replace this instance; empty if it need not."""
    if report is None or report.deaf_s is None:
        return []
    if report.state is State.DEAF and report.deaf_s > HEARS_AFTER_S:
        return [f"no event is heard: the trigger has been deaf for {report.deaf_s:.0f} s, and the app cannot subscribe"]
    if 0 < settings.deaf_unhealthy_s <= report.deaf_s:
        return [
            f"the trigger has been deaf for {report.deaf_s:.0f} s: replace this instance (its host, not only Redis)"
        ]
    return []


def trigger_problems(report: Report | None, living: Sequence[Instance]) -> list[str]:
    """What operators should know of the triggers, here and on the other instances."""
    problems = []
    if report is not None and report.deaf_s is not None:
        problems.append(
            f"the trigger has been deaf for {report.deaf_s:.0f} s; the app hears events by itself. Restart the host: "
            "after most faults the trigger does not come back"
        )
    if report is not None and report.refused:
        problems.append(
            f"Redis refuses heartbeats ({report.refused}): whether the trigger is deaf or late is not known"
        )
    here = report.instance if report else None
    deaf = [one for one in living if one.state in UNABLE and one.instance.partition("/")[0] != here]
    problems += [f"the trigger of instance {one.instance} is deaf" for one in deaf[:NAMED]]
    if len(deaf) > NAMED:
        problems.append(f"the triggers of {counted(len(deaf) - NAMED, 'further instance')} are deaf")
    return problems


def _trigger_details(report: Report) -> dict[str, Any]:
    return {
        "state": report.state.value,
        "sinceS": round(report.since_s, 1),
        "deafS": None if report.deaf_s is None else round(report.deaf_s, 1),
        "behindS": {function: round(behind_s, 3) for function, behind_s in report.behind_s.items()},
        "instance": report.instance,
        "share": round(report.share, 3),
    }


async def _unwritable(app: App) -> list[str]:
    """Why Redis takes no writes (it is full, a replica, or cannot save), as a write shows; empty when it does."""
    try:
        await app.redis.set(_WRITE_TEST, b"", px=WRITE_TEST_TTL_MS)
    except ResponseError as error:
        return [f"Redis takes no writes: {type(error).__name__}"]
    return []


async def export_age_s(app: App, log: audit.AuditState) -> float | None:
    """How long audit records have waited for storage: since the last successful export or, before the first one, since
    the oldest record was written. None where no record waits. Raises what the Redis client raises."""
    if not log.pending or log.last_success_age_s is not None:
        return log.last_success_age_s if log.pending else None
    pipeline = app.redis.pipeline(transaction=False)
    pipeline.xrange(namespaces.build(namespaces.AUDIT_STREAM), count=1)
    pipeline.time()
    oldest, (seconds, _) = await pipeline.execute()
    return max(0.0, seconds - int(oldest[0][0].partition(b"-")[0]) / 1000) if oldest else None


def _backlog(waiting: int | None, letters: dead_letters.Totals | None, recent: int, settings: Settings) -> list[str]:
    problems = []
    if waiting is not None and waiting > MANY_RETRIES:
        problems.append(f"{waiting} keys wait for a retry")
    if letters is None:
        return problems
    if 0 < settings.dead_letters_alert <= recent:
        problems.append(f"{counted(recent, 'dead letter')} in the last {_period(settings.dead_letters_alert_s)}")
    if letters.dropped:
        problems.append(f"{counted(letters.dropped, 'dead letter')} dropped for lack of room")
    elif letters.count > NEARLY_FULL * settings.dead_letters_max:
        problems.append(f"{counted(letters.count, 'dead letter')}, of {settings.dead_letters_max} that are kept")
    return problems


def _period(seconds: float) -> str:
    if seconds == 3600:
        return "hour"
    return f"{seconds / 60:g} minutes" if seconds >= 120 else f"{seconds:g} s"


def _sweep(last_pass: reconcile.LastPass | None) -> list[str]:
    if last_pass is None or last_pass.worked_age_s <= SWEEP_LATE_S:
        return []  # no pass is complete yet (a new app, or a flushed Redis), or one makes progress
    return [f"the last sweep stopped {last_pass.worked_age_s:.0f} s ago"]


def _timers(age_s: float | None, retry_schedule: str) -> list[str]:
    if age_s is None or age_s <= TIMERS_SILENT_S or retry_schedule != Settings().retry_schedule:
        return []  # no timer has run yet, or it is not to run as often
    return [f"the platform's timers have not run for {age_s:.0f} s; processes stand in only for a while after a start"]


def _audit(log: audit.AuditState | None, export_s: float | None, buffer: int) -> list[str]:
    problems: list[str] = []
    if log is None:
        return problems
    if not log.configured:
        problems.append("AzureWebJobsStorage is not set: audit records stay in Redis")
    elif log.error:
        problems.append(f"audit records cannot be written to storage: {log.error}; {log.pending} wait in Redis")
    elif export_s is not None and export_s > AUDIT_LATE_S:
        never = log.last_success_age_s is None
        since = "there was no export yet, the oldest is from" if never else "the last export was"
        problems.append(f"audit records wait ({log.pending}); {since} {export_s:.0f} s ago")
    if log.pending > NEARLY_FULL * buffer:
        problems.append(
            f"audit records wait in Redis: {log.pending} of {buffer} that it keeps; the oldest are dropped next"
        )
    if log.broken:
        problems.append("the end of an audit file was altered and a new chain was begun: verify the log")
    return problems
