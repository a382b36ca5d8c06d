"""Sessions: every created session gets an audit record.

Sessions are created as by NextAuth's Redis adapters: the session without a TTL, and the index of its user, whose key
also matches the trigger's pattern. One session counts as one event.
"""

import json
import time
import uuid
from collections.abc import Iterator
from functools import partial
from random import Random

from redis.asyncio import Redis

from bench.hosts import Meter, Write, figures_of, fresh_redis, ready_hosts, until, write
from bench.processes import still
from bench.trial import Figures, Plan, Size, Trial
from shared import namespaces
from shared.clock import iso_utc

SESSIONS = {Size.FULL: 10_000, Size.QUICK: 500}
STREAMS = {"app": namespaces.build(namespaces.AUDIT_STREAM), "naive": b"naive:audit:sessions"}
"""The stream of each consumer's audit records."""
_COMMANDS = {"app": ("evalsha",), "naive": ("get", "xadd")}
"""The commands that each consumer sends per event. Redis also counts commands in scripts, which never call these."""


def trials(plan: Plan) -> list[Trial]:
    return [plan.hosted("sessions", name, "", partial(audit, name, SESSIONS[plan.size])) for name in STREAMS]


async def audit(consumer: str, sessions: int, *, overhead_ms: float) -> Figures:
    """From the first write to the last audit record, with one host.

    Commands of a pipeline share a round trip.
    """
    async with fresh_redis() as (server, client), ready_hosts(consumer, server, overhead_ms=overhead_ms) as hosts:

        async def all_recorded() -> bool:
            return int(await client.xlen(STREAMS[consumer])) >= sessions

        written = list(created(sessions))
        await still(hosts)
        await client.config_resetstat()
        meter = await Meter.start(client, hosts)
        await write(client, written, ttl_s=None)
        await until(all_recorded, hosts)
        sent = await _calls(client, _COMMANDS[consumer])
        figures = await figures_of(meter, sessions, hosts)
        sent_drained = await _calls(client, _COMMANDS[consumer])
        return {
            **figures,
            "commands_per_event": sent / sessions,
            "commands_per_event_drained": sent_drained / sessions,
        }


async def _calls(client: Redis, commands: tuple[str, ...]) -> int:
    """The number of calls of these commands since the statistics of Redis were reset."""
    stats = await client.info("commandstats")
    return sum(int(stats[f"cmdstat_{name}"]["calls"]) for name in commands)


def created(count: int) -> Iterator[Write]:
    """Keys and contents of `count` sessions of different users, and of their indexes."""
    chance = Random(1)
    expires = iso_utc(time.time() + 30 * 86_400)
    for _ in range(count):
        token, user_id = (str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(2))
        key = namespaces.build(namespaces.SESSION, token)
        yield key, json.dumps({"sessionToken": token, "userId": user_id, "expires": expires}).encode()
        yield namespaces.build(namespaces.SESSION_BY_USER, user_id), key
