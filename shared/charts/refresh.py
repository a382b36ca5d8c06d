"""Fetching a chart again, from its source into its source key. From there it takes the way of any other write.

    take     charts that are due, at most CHART_FETCH_CONCURRENCY per source in flight   take_refreshes.lua
    begin    still taken and due? fence, what is there now                                begin_refresh.lua
    fetch    one request; the reader must find a chart in the answer                      shared/sources
    end      written if nobody else changed the chart meanwhile                           end_refresh.lua
    fail     due again after a backoff; a source that fails again and again rests         fail_refresh.lua

A process that dies in between leaves a lease, after which another one takes the chart. One that comes late begins no
request, and reads no answer any more, after its lease.
"""

import asyncio
import hashlib
import secrets
import time
from typing import NamedTuple

from redis.backoff import FullJitterBackoff

from shared import namespaces, telemetry
from shared.app import App
from shared.charts import reactor
from shared.charts.schedule import PRELUDE, Chart, ahead_ms, chart_of, due_key
from shared.errors import Rejected, SourceDown, WorkTimeout
from shared.reactor import Cause, Outcome, retried
from shared.reactor import Source as Caller
from shared.reading.read import read_chart
from shared.runtime.threads import off_loop
from shared.sources import answer
from shared.sources.addresses import Hosts
from shared.sources.client import Client
from shared.sources.config import Source
from shared.store.script import Script

TAKE_REFRESHES = Script(__file__, "take_refreshes", PRELUDE)
BEGIN_REFRESH = Script(__file__, "begin_refresh", PRELUDE)
END_REFRESH = Script(__file__, "end_refresh", PRELUDE)
FAIL_REFRESH = Script(__file__, "fail_refresh", PRELUDE)

FUNCTION = "refresh_charts"
"""The name in logs and metrics."""
FAILURES_TO_REST = 5
"""Failures in a row after which a source is left alone for a while, and then tried with one request at a time."""
MAX_REST_S = 60.0
"""Longest time that a failing source, or a chart of it, is left alone: so soon after its return it is in use again. A
source rests for half of `refresh_ahead_s` at most, so that charts which do not fail are fetched before they expire."""
LONGEST_CLOSED_MS = 3_600_000 + 1000
"""A source is never left alone for longer, also by its own Retry-After."""
MAX_HASHED_BYTES = 128 * 1024
"""Larger content is recognised by size, expiry, begin and end: hashing it would hold Redis for more than a
millisecond."""
MAX_SCRIPT_BYTES = 128 * 1024
"""Larger content is written beside its key, which a script then renames: a script that gets it as an argument holds
Redis for 8 ms per MiB."""
MAX_REASON_BYTES = 400
"""The scripts load no longer field of a state."""
_INTEREST = namespaces.build(namespaces.CHART_INTEREST)


class Taken(NamedTuple):
    """Charts to look at now; `lease_ms` is the end of their lease by Redis' clock, `until_s` by the event loop's.
    `rests_ms`: until when the source is left alone by Redis' clock, 0 if it is not. `wait_s`: the time until there may
    be more, None if nothing is due."""

    keys: list[bytes]
    lease_ms: int
    until_s: float
    rests_ms: int
    wait_s: float | None


async def take(app: App, source: Source, limit: int) -> Taken:
    """Take up to `limit` charts of a source that are due. Raises what the Redis client raises."""
    until_s = asyncio.get_running_loop().time() + source.lease_ms / 1000
    wait_ms, lease_ms, rests_ms, *keys = await app.run(
        TAKE_REFRESHES,
        keys=[due_key(source), fetching_key(source), state_key(source)],
        args=[
            limit,
            app.settings.chart_fetch_concurrency,
            source.lease_ms,
            namespaces.CHART_STATE_TTL_S,
            FAILURES_TO_REST,
            LONGEST_CLOSED_MS,
        ],
    )
    return Taken(keys, lease_ms, until_s, rests_ms, None if wait_ms < 0 else wait_ms / 1000)


async def refresh(app: App, source: Source, key: bytes, taken: Taken) -> Outcome | None:
    """Refresh a chart that was taken. Returns the outcome of the reaction to what was written, or of the failure; None
    if there was nothing to fetch or to write. Raises what the Redis client raises; then the lease ends by itself."""
    chart = chart_of(app, key)
    if chart is None or chart.source.name != source.name:  # the settings have changed
        await _forget(app, source, key)
        return None
    started_s = time.perf_counter()
    reply = await app.run(
        BEGIN_REFRESH,
        keys=[key, chart.state, chart.due, fetching_key(source), _INTEREST],
        args=[
            ahead_ms(source, longest=True),
            round(app.settings.chart_active_s * 1000),
            round(app.settings.chart_keep_s * 1000),
            namespaces.CHART_STATE_TTL_S,
            taken.lease_ms,
            MAX_HASHED_BYTES,
            chart.chart_id + b":" + chart.data_type,
            taken.rests_ms,
        ],
    )
    if reply[0] == b"lapsed":
        await reactor.mark_stale(app, key)
    if reply[0] != b"fetch":
        return None
    _, fence, expires_ms, size, digest, failures = reply
    if not expires_ms:  # noticed now, whether or not Redis has reported it
        await reactor.mark_stale(app, key)
    try:
        content = await fetched(app, chart, taken.until_s)
    except SourceDown as error:
        return await _failed(app, chart, fence, taken.lease_ms, failures, error, started_s)
    result = await _end(app, chart, content, taken.lease_ms, fence, expires_ms, size, digest)
    _is_back(app, source)
    telemetry.count(FUNCTION, result)
    if result != "written":
        return None
    (outcome,) = await reactor.react(app, [key], Cause.DUE)
    _record(app, outcome, started_s)
    return outcome


async def _end(
    app: App, chart: Chart, content: bytes, lease_ms: int, fence: int, expires_ms: int, size: int, digest: bytes
) -> str:
    """Write what was fetched, unless what begin_refresh.lua found has changed. Returns the reply of end_refresh.lua."""
    source = chart.source
    beside = namespaces.build(namespaces.CHART_FETCHED, secrets.token_hex(8))
    large = len(content) > MAX_SCRIPT_BYTES
    if large:
        await app.redis.set(beside, content, ex=namespaces.CHART_FETCHED.ttl_s)
    reply = await app.run(
        END_REFRESH,
        keys=[chart.key, chart.state, chart.due, fetching_key(source), state_key(source), beside],
        args=[
            fence,
            lease_ms,
            b"" if large else content,
            hashlib.sha1(content, usedforsecurity=False).hexdigest(),
            round(source.ttl_s * 1000),
            expires_ms,
            size,
            digest,
            ahead_ms(source),
            round(app.settings.chart_active_s * 1000),
            namespaces.CHART_STATE_TTL_S,
            MAX_HASHED_BYTES,
        ],
    )
    if large and reply != b"written":
        await app.redis.unlink(beside)
    return str(reply.decode())


async def fetched(app: App, chart: Chart, until_s: float = float("inf")) -> bytes:
    """What the source answers, if the reader finds a chart in it. Raises SourceDown, at `until_s` by the event loop's
    clock at the latest."""
    body = await _client(app).fetch(
        chart.source, chart.chart_id, chart.data_type, app.settings.max_payload_bytes, until_s
    )

    def checked() -> bytes:
        content = answer.chart_of(chart.source, body)
        read_chart(content, app.settings.overrides.override(chart.key))
        return content

    try:
        content = (
            await off_loop(min(app.settings.work_timeout_s, _left_s(until_s)), checked)
            if len(body) > reactor.THREAD_BYTES or chart.source.select
            else checked()
        )
    except Rejected as fault:
        raise answer.no_chart(fault) from None
    except WorkTimeout as error:
        raise SourceDown(f"the answer takes {error} to read", of_chart=True) from None
    except SourceDown:
        raise
    except Exception as error:  # whatever an answer does to the reader counts against its source
        raise SourceDown(f"the answer cannot be read: {type(error).__name__}") from None
    if len(content) > app.settings.max_payload_bytes:
        raise SourceDown(f"the selected part has more than {app.settings.max_payload_bytes} bytes")
    return content


def _left_s(until_s: float) -> float:
    return max(0.0, until_s - asyncio.get_running_loop().time())


def clients() -> dict[Hosts, Client]:
    """State of the app: its HTTP client."""
    return {}


def _client(app: App) -> Client:
    hosts = app.settings.sources.hosts
    return app.state(clients).setdefault(hosts, Client(hosts))


async def close(app: App) -> None:
    """Close the connections to sources."""
    for client in app.state(clients).values():
        await client.close()


def state_key(source: Source) -> bytes:
    return namespaces.build(namespaces.CHART_SOURCE, source.name)


def fetching_key(source: Source) -> bytes:
    return namespaces.build(namespaces.CHARTS_FETCHING, source.name)


async def _forget(app: App, source: Source, key: bytes) -> None:
    pipeline = app.redis.pipeline(transaction=False)
    pipeline.zrem(due_key(source), key)
    pipeline.zrem(fetching_key(source), key)
    await pipeline.execute()


async def _failed(
    app: App, chart: Chart, fence: int, lease_ms: int, failures: int, error: SourceDown, started_s: float
) -> Outcome:
    settings, source = app.settings, chart.source
    longest_s = settings.retry_cap_s if error.of_chart else min(settings.retry_cap_s, MAX_REST_S)
    backoff = FullJitterBackoff(cap=longest_s, base=min(settings.retry_base_s, longest_s))
    longest_rest_s = min(settings.retry_cap_s, MAX_REST_S, source.refresh_ahead_s / 2 or MAX_REST_S)
    resting_ms = await app.run(
        FAIL_REFRESH,
        keys=[chart.state, chart.due, fetching_key(source), state_key(source)],
        args=[
            chart.key,
            fence,
            lease_ms,
            str(error).encode()[:MAX_REASON_BYTES].decode(errors="ignore"),
            round(backoff.compute(min(failures, 30)) * 1000),
            round((error.retry_after_s or 0) * 1000),
            FAILURES_TO_REST,
            round(settings.retry_base_s * 1000),
            round(longest_rest_s * 1000),
            namespaces.CHART_STATE_TTL_S,
            int(error.of_chart),
        ],
    )
    if resting_ms and source.name not in app.state(_away):
        app.state(_away)[source.name] = time.monotonic()
        telemetry.logger.warning("chart source %s is away (%s)", source.shown, error)
    outcome = retried(chart.key, str(error))
    _record(app, outcome, started_s)
    return outcome


def _away() -> dict[str, float]:
    """State of the app: the sources that are left alone, by name, and since when (time.monotonic)."""
    return {}


def _is_back(app: App, source: Source) -> None:
    since_s = app.state(_away).pop(source.name, None)
    if since_s is not None:
        telemetry.logger.warning("chart source %s is back after %.1f s", source.shown, time.monotonic() - since_s)


def _record(app: App, outcome: Outcome, started_s: float) -> None:
    duration_ms = (time.perf_counter() - started_s) * 1000
    telemetry.record(FUNCTION, reactor.NAME, Caller.SCHEDULE, outcome, duration_ms, app.settings.audit_key)
