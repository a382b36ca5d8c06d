"""Checks of the app: settings, bindings, storage, clock, and the work that waits in Redis."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from shared import namespaces
from shared.app import App
from shared.audit import state as audit_state
from shared.audit.store import is_emulator, open_store
from shared.charts import source_state
from shared.delivery.reconcile import last_pass
from shared.errors import ConfigurationError
from shared.operations.doctor.findings import Finding, error, info, ok, warning
from shared.operations.doctor.products import Product, is_local, product_of
from shared.operations.health import AUDIT_LATE_S, SWEEP_LATE_S, export_age_s
from shared.registry import REACTORS
from shared.settings import DEVELOPMENT_AUDIT_KEY, Settings
from shared.store.connection_setting import variables
from shared.words import counted

OVERDUE_S = 60.0
SKEW_S = 2.0
CLOCK_SAMPLES = 3
PROPERTIES: Mapping[str, Sequence[str]] = {
    "redisPubSubTrigger": ("connection", "channel", "pattern"),
    "redisStreamTrigger": ("connection", "key", "pollingIntervalInMs", "maxBatchSize"),
    "redisListTrigger": ("connection", "key", "pollingIntervalInMs", "maxBatchSize", "listDirection"),
    "timerTrigger": ("schedule",),
}
"""Properties that a trigger's binding must have: the host chooses the constructor whose every parameter is present, and
C# default values do not count. A test compares this with local/host/bindings.py."""

type Bindings = Mapping[str, Sequence[Mapping[str, Any]]]
"""The raw bindings of each function, as azure.functions reports them."""


def check_settings(settings: Settings) -> list[Finding]:
    """Settings that are valid and still cause problems. Shows no secret."""
    options = settings.redis_options
    findings = []
    if settings.audit_key == DEVELOPMENT_AUDIT_KEY and not is_local(options.host):
        findings.append(
            warning(
                "audit-key",
                "AUDIT_KEY has its development value, and Redis is on another machine",
                "Anyone can compute the fingerprints and open the sealed tokens; and they differ from those of an app "
                "with another key.",
                "Set AUDIT_KEY to the app's secret here too.",
            )
        )
    if settings.audit_key_previous:
        findings.append(
            info(
                "audit-key-previous",
                "AUDIT_KEY_PREVIOUS is set",
                "Each check of a session also searches under the previous key.",
                "Remove it when no session from before the change is live: after 30 days at the latest.",
            )
        )
    if settings.lease_ms < options.command_timeout_s * 1000:
        findings.append(
            warning(
                "lease",
                f"a lease ({settings.lease_ms / 1000:g} s) is below syncTimeout ({options.command_timeout_s:g} s)",
                "While a command hangs, another worker takes over the batch: work is done twice, the effect is not.",
                "Raise LEASE_S, or lower syncTimeout in the setting Redis.",
            )
        )
    if product_of(options.host) is not Product.AZURE_CACHE and not is_local(options.host) and options.abort_connect:
        findings.append(
            warning(
                "abort-connect",
                "the setting Redis does not say abortConnect=False",
                "The trigger's client stops permanently if it cannot connect at once when the app starts.",
                "Add abortConnect=False to it.",
            )
        )
    findings += [
        warning("settings", concern, "The app starts with it, and health is degraded.", "Correct the app setting.")
        for concern in settings.concerns
    ]
    return findings or [ok("settings", "valid, no problems known")]


def check_bindings(bindings: Bindings, names: Sequence[str]) -> list[Finding]:
    """`names` are the app settings that exist, in which the host looks up connections."""
    faults = [fault for function in sorted(bindings) for fault in _binding_faults(function, bindings[function], names)]
    for reactor in REACTORS:
        channels = [binding.get("channel") for binding in bindings.get(reactor.function, ())]
        if reactor.channel not in channels:
            faults.append(f"{reactor.function} does not subscribe to {reactor.channel}")
    if not faults:
        return [ok("bindings", f"{counted(len(bindings), 'function')}, every property present")]
    return [
        error(
            "bindings",
            "; ".join(faults),
            "The host does not run a function whose binding it cannot read; it runs the others.",
            "Spell out every property of the trigger in triggers/.",
        )
    ]


def _binding_faults(function: str, bindings: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    faults = []
    triggers = [binding for binding in bindings if str(binding.get("type")).endswith("Trigger")]
    if len(triggers) != 1:
        faults.append(f"{function} has {len(triggers)} triggers")
    for trigger in triggers:
        kind = str(trigger["type"])
        missing = [name for name in PROPERTIES.get(kind, ()) if trigger.get(name) is None]
        if missing:
            faults.append(f"{function}: {kind} lacks {', '.join(missing)}")
        if kind == "redisPubSubTrigger" and "*" in str(trigger.get("channel")) and trigger.get("pattern") is False:
            faults.append(f"{function}: a channel with * and pattern=False never fires")
        if "cardinality" in trigger:
            faults.append(f"{function}: the worker fails with cardinality")
        connection = trigger.get("connection")
        if connection is not None and not any(variables(dict.fromkeys(names, ""), str(connection))):
            faults.append(f"{function}: there is no setting {connection}")
    return faults


async def check_storage(settings: Settings) -> list[Finding]:
    """List the audit container. Does not write: blobs there are never deleted."""
    from azure.core.exceptions import AzureError

    if not settings.storage:
        return [
            warning(
                "storage",
                "no storage account is set (AzureWebJobsStorage)",
                "Audit records stay in Redis, the newest AUDIT_BUFFER of them; a flush or an eviction loses them.",
                "Set AzureWebJobsStorage, or AzureWebJobsStorage__accountName for an identity.",
            )
        ]
    started_s = time.perf_counter()
    try:
        async with open_store(settings) as store:
            async for _ in store.names("~"):  # no blob has this prefix: one request that reads nothing
                break
    except ConfigurationError as fault:
        return [error("storage", str(fault), "Audit records stay in Redis.", "Correct the setting.")]
    except (AzureError, OSError) as fault:
        return [storage_away(settings, type(fault).__name__)]
    return [ok("storage", f"the container audit is readable ({(time.perf_counter() - started_s) * 1000:.0f} ms)")]


def storage_away(settings: Settings, reason: str) -> Finding:
    """The finding for an account that does not answer, or refuses; `reason` is no text of the account."""
    why = "Audit records wait in Redis, at most AUDIT_BUFFER of them."
    if is_emulator(settings):
        fix = "Start ./run, which starts Azurite, or set AzureWebJobsStorage to an account."
        return error("storage", f"the storage emulator does not answer: {reason}", why, fix)
    fix = "Check its network rules, and that the app's identity is Storage Blob Data Contributor (or the key is valid)."
    return error("storage", f"the storage account cannot be read: {reason}", why, fix)


async def check_clock(app: App) -> list[Finding]:
    """Redis' clock against this machine's: the sample with the shortest round trip, accurate to half of it."""
    best = (float("inf"), 0.0)
    for _ in range(CLOCK_SAMPLES):
        before_s = time.time()
        seconds, microseconds = await app.redis.time()
        after_s = time.time()
        best = min(best, ((after_s - before_s) / 2, seconds + microseconds / 1e6 - (before_s + after_s) / 2))
    error_s, skew_s = best
    difference = f"Redis' clock is {abs(skew_s) * 1000:.1f} ms {'ahead of' if skew_s > 0 else 'behind'} this machine's"
    measured = f"{difference} (± {error_s * 1000:.1f} ms)"
    if abs(skew_s) - error_s < SKEW_S:
        return [ok("clock", measured)]
    return [
        warning(
            "clock",
            measured,
            "Sessions, leases and retries go by Redis' clock; processedAt and the minutes of statistics by the "
            "host's. A client with a third clock sees its sessions end early or late.",
            "Synchronise the clocks (NTP); compare each with a time server.",
        )
    ]


async def check_backlog(app: App) -> list[Finding]:
    """The last sweep, retries, dead letters. Raises what the Redis client raises."""
    due, dead = namespaces.build(namespaces.RETRY_DUE), namespaces.build(namespaces.DEAD_INDEX)
    seconds, _ = await app.redis.time()
    waiting, letters = await app.redis.zcard(due), await app.redis.zcard(dead)
    overdue = await app.redis.zcount(due, "-inf", (seconds - OVERDUE_S) * 1000)
    findings = [await _check_sweep(app)]
    if overdue:
        findings.append(
            warning(
                "retries",
                f"{overdue:,} of {counted(waiting, 'retry', 'retries')} overdue by more than {OVERDUE_S:.0f} s",
                "The timer of retries does not run, or does not keep up.",
                "Check the function retry in the app's log.",
            )
        )
    else:
        findings.append(ok("retries", f"{waiting} waiting, none overdue"))
    if letters:
        findings.append(
            warning(
                "dead-letters",
                counted(letters, "dead letter"),
                "Their content was rejected, or failed too often: effects are missing. Letters are kept for 7 days.",
                "Read the reasons, correct the cause, replay:",
                ("python3 manage.py deadletters list",),
            )
        )
    else:
        findings.append(ok("dead-letters", "none"))
    return findings


async def _check_sweep(app: App) -> Finding:
    sweep = await last_pass(app)
    if sweep is None:
        return warning(
            "sweep",
            "no complete sweep is recorded",
            "The app has not run on this Redis within a day, or its first sweep is not complete.",
            "Start the app; the function sweep begins one every 30 s.",
        )
    result = (
        f"the last one ended {sweep.age_s:.0f} s ago, took {sweep.duration_s:.1f} s, saw {counted(sweep.seen, 'key')}"
    )
    if sweep.seen_since:
        result += f"; one in progress has seen {sweep.seen_since}, {sweep.worked_age_s:.0f} s ago"
    if sweep.worked_age_s < SWEEP_LATE_S:
        return ok("sweep", result)
    return warning(
        "sweep",
        result,
        "Keys whose events were lost wait for the sweep; without it their effects stay missing.",
        "Check the function sweep in the app's log, and SWEEP_SCHEDULE.",
    )


async def check_sources(app: App) -> list[Finding]:
    """The sources of charts that are away; nothing where the app has none. Raises what the Redis client raises."""
    views = await source_state.read_sources(app)
    away = [
        warning(
            "chart-sources",
            reason,
            f"Its charts keep their last good data, marked stale, for {app.settings.chart_max_stale_s:g} s after their "
            "expiry (CHART_MAX_STALE_S).",
            "See what the source answers:",
            ("python3 manage.py charts sources check",),
        )
        for reason in source_state.away(views)
    ]
    return away or ([ok("chart-sources", f"{counted(len(views), 'source')}, none away")] if views else [])


async def check_audit(app: App) -> list[Finding]:
    """The state of the export of audit records. Raises what the Redis client raises."""
    now = await audit_state.state(app)
    findings = []
    if now.broken:
        findings.append(
            error(
                "audit-chain",
                "a chain of the audit log could not be trusted, and a new one was begun",
                "Records in storage were changed or removed, or storage lost them.",
                "See which records are intact:",
                ("python3 manage.py audit verify",),
            )
        )
    if now.gaps or now.unreadable:
        findings.append(
            warning(
                "audit-gaps",
                f"{counted(now.gaps, 'gap')}, {counted(now.unreadable, 'unreadable record')}",
                "Records were lost before they reached storage: the stream was full, evicted or flushed.",
                "Keep storage reachable, memory free and AUDIT_BUFFER large enough; the log names each gap.",
            )
        )
    if not now.configured:
        return findings  # check_storage reports it
    age_s = now.last_success_age_s
    late = (await export_age_s(app, now) or 0.0) > AUDIT_LATE_S
    exported = "no export yet" if age_s is None else f"last export {age_s:.0f} s ago"
    progress = f"waiting: {counted(now.pending, 'record')}, {exported}"
    if now.pending > 0.8 * app.settings.audit_buffer or late:
        make = error if now.pending > 0.8 * app.settings.audit_buffer else warning
        findings.append(
            make(
                "audit",
                progress + (f", last run failed with {now.error}" if now.error else ""),
                f"The stream keeps {app.settings.audit_buffer} records (AUDIT_BUFFER); older ones are dropped.",
                "See the finding on storage, and check the function audit_export in the app's log.",
            )
        )
    else:
        findings.append(ok("audit", progress))
    return findings
