"""All checks, in order, each bounded in time. Redis' checks end with the first one that finds it away."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.app import App
from shared.operations.doctor import access, app_state, notifications, server
from shared.operations.doctor.app_state import Bindings
from shared.operations.doctor.findings import Finding, Severity, error, info
from shared.operations.doctor.reach import check_connection, permitted
from shared.store.connection import parse_connection_string

if TYPE_CHECKING:
    from redis.asyncio import Redis

CHECK_TIMEOUT_S = 2.0
STORAGE_TIMEOUT_S = 2.5


@dataclass(frozen=True)
class _Told:
    """What the server tells of itself; None where it refuses to."""

    about: Mapping[str, Any] | None
    flags: str | None
    limits: str | None
    subscribers: Sequence[Mapping[str, str]] | None
    one_slot: bool = False
    """Scripts over keys of several slots are refused."""


async def examine(app: App, bindings: Bindings | None = None, names: Sequence[str] = ("Redis",)) -> list[Finding]:
    """Every finding, the harmless ones included. Never raises for a Redis or a storage account that is away or refuses.

    `bindings` are those of each function, None where the caller does not know them; `names` are the app settings that
    exist. Takes less than 5 s when Redis and storage are away. It writes keys `functions:doctor:*` with a TTL of 10 s,
    and publishes one message per pattern that the reactors do nothing with.
    """
    known = [] if bindings is None else app_state.check_bindings(bindings, names)
    of_redis, of_storage = await asyncio.gather(_examine_redis(app), _examine_storage(app))
    return [*of_redis, *of_storage, *known, *app_state.check_settings(app.settings)]


async def _examine_storage(app: App) -> list[Finding]:
    try:
        async with asyncio.timeout(STORAGE_TIMEOUT_S):
            return await app_state.check_storage(app.settings)
    except TimeoutError:
        return [app_state.storage_away(f"no answer within {STORAGE_TIMEOUT_S:g} s")]


async def _examine_redis(app: App) -> list[Finding]:
    options = parse_connection_string(app.settings.redis)
    findings = await check_connection(app, options)
    if findings[-1].severity is Severity.ERROR:
        return [*findings, info("rest", "what else there is to know of Redis could not be looked at")]
    told = _Told(None, None, None, None)

    async def learn() -> list[Finding]:
        nonlocal told
        told = await _ask(app)
        return _of_the_server(told, options.host)

    steps: list[tuple[str, Callable[[], Awaitable[list[Finding]]]]] = [
        ("server", learn),
        ("access", lambda: access.check_access(app.redis)),
        ("listeners", lambda: notifications.check_listeners(app.redis)),
        ("clock", lambda: app_state.check_clock(app)),
        ("backlog", lambda: app_state.check_backlog(app)),
        ("audit", lambda: app_state.check_audit(app)),
    ]
    for name, step in steps:
        some = await _bounded(name, step)
        findings += some
        if any(finding.id == "connection" for finding in some):
            break
    return findings


async def _bounded(name: str, step: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    """What a check finds; where Redis refuses it, that. A finding `connection` says that Redis went away."""
    from redis.exceptions import RedisError, ResponseError

    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await step()
    except ResponseError as fault:  # by class only: the text may quote what was sent
        return [info(name, f"not looked at: Redis refuses it ({type(fault).__name__})")]
    except (RedisError, OSError) as fault:
        return [
            error(
                "connection",
                f"Redis stopped answering at the check {name}: {type(fault).__name__}",
                "The checks after it were not made.",
                "Try again; if it stays, look at the server's load: a slow command blocks all others.",
            )
        ]


def _of_the_server(told: _Told, host: str) -> list[Finding]:
    findings = notifications.check_flags(told.flags, host)
    if told.about is None:
        return [*findings, info("server", "not looked at: Redis refuses INFO", "Version, role and memory are unknown.")]
    return [
        *server.check_version(told.about),
        *server.check_cluster(told.about, host, one_slot=told.one_slot),
        *server.check_role(told.about),
        *findings,
        *server.check_eviction(told.about, host),
        *server.check_memory(told.about),
        *server.check_persistence(told.about),
        *server.check_output_buffer(told.limits, told.subscribers),
    ]


async def _ask(app: App) -> _Told:
    redis = app.redis
    return _Told(
        await permitted(redis.info()),
        await _config(app, "notify-keyspace-events"),
        await _config(app, "client-output-buffer-limit"),
        await permitted(redis.client_list(_type="pubsub")),
        await refuses_two_slots(redis),
    )


async def refuses_two_slots(redis: "Redis") -> bool:
    """Whether a script over two keys of different slots, which touches neither, is refused (CROSSSLOT)."""
    from redis.exceptions import ClusterCrossSlotError, ResponseError

    try:
        answer: Any = redis.eval("return 0", 2, f"{access.KEY_PREFIX}a", f"{access.KEY_PREFIX}b")
        await answer
    except ClusterCrossSlotError:
        return True
    except ResponseError:
        pass
    return False


async def _config(app: App, name: str) -> str | None:
    answer = await permitted(app.redis.config_get(name))
    return None if answer is None else str(answer.get(name, ""))
