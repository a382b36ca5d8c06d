"""All checks in order, each within a time limit. The checks of Redis end with the first one that finds it away."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ClusterCrossSlotError, RedisError, ResponseError

from shared.app import App
from shared.operations.doctor import access, app_state, notifications, server, triggers
from shared.operations.doctor.app_state import Bindings
from shared.operations.doctor.findings import Finding, Severity, error, info
from shared.operations.doctor.own_keys import check_own_keys
from shared.operations.doctor.reach import check_connection, permitted
from shared.store.connection import ConnectionOptions
from shared.store.refusals import is_wrong_type

CHECK_TIMEOUT_S = 2.0
STORAGE_TIMEOUT_S = 2.5


@dataclass(frozen=True)
class _ServerState:
    """What the server shows of itself; None where it refuses the command."""

    info: Mapping[str, Any] | None
    flags: str | None
    limits: str | None
    subscribers: Sequence[Mapping[str, str]] | None
    one_slot: bool = False
    """Whether the server refuses scripts over keys of several slots."""


async def examine(app: App, bindings: Bindings | None = None, names: Sequence[str] = ("Redis",)) -> list[Finding]:
    """Every finding, also those that are ok. Raises nothing when Redis or storage is away or refuses commands.

    `bindings` are those of each function, None where the caller does not have them; `names` are the app settings that
    exist. Takes less than 5 s when Redis and storage are away. Writes keys `functions:doctor:*` with a TTL of 10 s, and
    publishes one message per pattern, which the reactors ignore.
    """
    of_bindings = [] if bindings is None else app_state.check_bindings(bindings, names)
    of_redis, of_storage = await asyncio.gather(_examine_redis(app), _examine_storage(app))
    return [*of_redis, *of_storage, *of_bindings, *app_state.check_settings(app.settings)]


async def _examine_storage(app: App) -> list[Finding]:
    try:
        async with asyncio.timeout(STORAGE_TIMEOUT_S):
            return await app_state.check_storage(app.settings)
    except TimeoutError:
        return [app_state.storage_away(app.settings, f"no answer within {STORAGE_TIMEOUT_S:g} s")]


async def _examine_redis(app: App) -> list[Finding]:
    options = app.settings.redis_options
    findings = await check_connection(app, options)
    if findings[-1].severity is Severity.ERROR:
        return [*findings, info("rest", "the other checks of Redis were not made")]
    state = _ServerState(None, None, None, None)

    async def check_server() -> list[Finding]:
        nonlocal state
        state = await _read_state(app)
        return _of_the_server(state, options)

    steps: list[tuple[str, Callable[[], Awaitable[list[Finding]]]]] = [
        ("server", check_server),
        ("access", lambda: access.check_access(app.redis, app.settings)),
        ("listeners", lambda: notifications.check_listeners(app.redis, options)),
        ("instances", lambda: triggers.check_instances(app)),
        ("clock", lambda: app_state.check_clock(app)),
        ("own-keys", lambda: check_own_keys(app)),
        ("backlog", lambda: app_state.check_backlog(app)),
        ("audit", lambda: app_state.check_audit(app)),
        ("chart-sources", lambda: app_state.check_sources(app)),
    ]
    for name, step in steps:
        step_findings = await _bounded(name, step)
        findings += step_findings
        if any(finding.id == "connection" for finding in step_findings):
            break
    return findings


async def _bounded(name: str, step: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    """The findings of a check, or the one that Redis refused it. A finding `connection` says that Redis went away."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await step()
    except ResponseError as fault:  # only the class: the text may quote arguments
        reason = "a key of the app holds another application's value" if is_wrong_type(fault) else type(fault).__name__
        return [info(name, f"not checked: Redis refuses it ({reason})")]
    except (RedisError, OSError) as fault:
        return [
            error(
                "connection",
                f"Redis stopped answering at the check {name}: {type(fault).__name__}",
                "The remaining checks were not made.",
                "Try again; if it persists, check the server's load: a slow command blocks all others.",
            )
        ]


def _of_the_server(state: _ServerState, options: ConnectionOptions) -> list[Finding]:
    findings = notifications.check_flags(state.flags, options)
    if state.info is None:
        return [*findings, info("server", "not checked: Redis refuses INFO", "Version, role and memory are unknown.")]
    return [
        *server.check_version(state.info),
        *server.check_cluster(state.info, options.host, one_slot=state.one_slot),
        *server.check_role(state.info),
        *findings,
        *server.check_eviction(state.info, options),
        *server.check_memory(state.info, options),
        *server.check_persistence(state.info),
        *server.check_output_buffer(state.limits, state.subscribers, options),
    ]


async def _read_state(app: App) -> _ServerState:
    redis = app.redis
    return _ServerState(
        await permitted(redis.info()),
        await _config(app, "notify-keyspace-events"),
        await _config(app, "client-output-buffer-limit"),
        await permitted(redis.client_list(_type="pubsub")),
        await refuses_two_slots(redis),
    )


async def refuses_two_slots(redis: Redis) -> bool:
    """Whether Redis refuses a script over two keys of different slots (CROSSSLOT). The script accesses neither."""
    try:
        await redis.register_script("return 0")(keys=[f"{access.KEY_PREFIX}a", f"{access.KEY_PREFIX}b"])
    except ClusterCrossSlotError:
        return True
    except ResponseError:
        pass
    return False


async def _config(app: App, name: str) -> str | None:
    reply = await permitted(app.redis.config_get(name))
    return None if reply is None else str(reply.get(name, ""))
