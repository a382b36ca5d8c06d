"""Retries: how often the reaction to a key failed, and when it is due again.

The state is in Redis and uses Redis' clock, so a restart loses nothing and workers agree on what is due. A sorted set
has the due time of every waiting key, a hash its failures. A clock that is set back holds nothing up: a time that is
further ahead than this app would write it now counts as reached.

Keys are stored as the reactor passes them, here and in dead letters. A session's key holds a bearer token, so the
sessions reactor passes the key of its phantom, which holds the token sealed (sessions/keys.py).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from redis.backoff import FullJitterBackoff

from shared import namespaces
from shared.app import App
from shared.errors import KeyspaceError, Rejected
from shared.privacy.masking import printable
from shared.store.script import Script

SCHEDULE_RETRY = Script(__file__, "schedule_retry")
TAKE_DUE_RETRIES = Script(__file__, "take_due_retries")
WAITING_RETRIES = Script(__file__, "waiting_retries")
CLEAR_RETRIES = Script(__file__, "clear_retries")

MAX_MESSAGE_CHARS = 500
_DUE = namespaces.build(namespaces.RETRY_DUE)
_ENTRIES = namespaces.build(namespaces.RETRY_ENTRIES)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A key's failures. `delay_s` is None if its attempts are used up: the caller then buries it."""

    attempts: int
    delay_s: float | None
    first_ms: int
    last_ms: int


async def schedule(app: App, reactor: str, key: bytes, error: BaseException, *, digest: str = "") -> Schedule:
    """Count a failure of `key` and schedule its retry.

    `digest` is that of the content that failed, if it was read; attempts are counted per content.

    The delay before the n-th retry is random, up to RETRY_BASE_S * 2^(n-1) and at most RETRY_CAP_S (full jitter; M.
    Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog 2015). A key whose attempts are used up stays until
    `dead_letters.bury` or `clear` removes it; if the worker dies before, it is due again after a lease.

    Raises redis.exceptions.RedisError or OSError if Redis is away. A call that is repeated because its reply was lost
    counts twice.
    """
    attempts, delay_ms, first_ms, last_ms = await app.run(
        SCHEDULE_RETRY,
        keys=[_DUE, _ENTRIES],
        args=[
            member(reactor, key),
            digest,
            msgspec.msgpack.encode(describe(error)),
            namespaces.RETRY_TTL_S,
            app.settings.lease_ms,
            *_delays_ms(app),
        ],
    )
    return Schedule(attempts, None if delay_ms < 0 else delay_ms / 1000, first_ms, last_ms)


async def take_due(app: App, limit: int = 64) -> dict[str, list[bytes]]:
    """Take up to `limit` due keys, longest due first. Returns the keys by reactor.

    A key is taken for one lease (LEASE_S): no other worker takes it during the lease, and it is due again after it
    unless it was cleared, rescheduled or buried before. Raises what the Redis client raises.
    """
    _, *members = await _take(app, limit)
    due: defaultdict[str, list[bytes]] = defaultdict(list)
    for due_member in members:
        reactor, _, key = due_member.partition(b"\0")
        due[reactor.decode()].append(key)
    return dict(due)


async def put_back(app: App, reactor: str, keys: Iterable[bytes]) -> None:
    """Make taken keys due again after RETRY_BASE_S, because nothing was tried."""
    members = [member(reactor, key) for key in keys]
    if not members:
        return
    seconds, micros = await app.redis.time()
    due_ms = seconds * 1000 + micros // 1000 + round(app.settings.retry_base_s * 1000)
    await app.redis.zadd(_DUE, dict.fromkeys(members, due_ms), xx=True)


async def clear(app: App, reactor: str, keys: Iterable[bytes]) -> None:
    """Forget the failures of keys that succeeded or need no further attempt."""
    if members := [member(reactor, key) for key in keys]:
        await app.run(CLEAR_RETRIES, keys=[_DUE, _ENTRIES], args=members)


async def not_yet_due(app: App, reactor: str, keys: Sequence[bytes]) -> set[bytes]:
    """The keys among `keys` that wait for a retry which is not due yet."""
    members = [member(reactor, key) for key in keys]
    positions = await app.run(WAITING_RETRIES, keys=[_DUE], args=[app.settings.longest_delay_ms, *members])
    return {keys[position - 1] for position in positions}


async def waiting(app: App) -> int:
    """The number of keys that wait for a retry, including those that are due."""
    count, *_ = await _take(app, 0)
    return int(count)


async def _take(app: App, limit: int) -> Any:
    settings = app.settings
    return await app.run(
        TAKE_DUE_RETRIES, keys=[_DUE, _ENTRIES], args=[settings.lease_ms, limit, settings.longest_delay_ms]
    )


def member(reactor: str, key: bytes) -> bytes:
    """The member of the sorted set for a key: the reactor's name, a zero byte, the key."""
    return reactor.encode() + b"\0" + key


def describe(error: BaseException) -> tuple[str, str]:
    """Class name and message of an error, safe to store. A subclass of Rejected is a Rejected: see shared/errors.py.

    Only messages of this app's own errors are included: they never hold input, while a library's message may quote it.
    """
    message = str(error) if isinstance(error, KeyspaceError) else ""
    name = Rejected.__name__ if isinstance(error, Rejected) else type(error).__name__
    return name, printable(message.encode(errors="backslashreplace"), MAX_MESSAGE_CHARS)


def _delays_ms(app: App) -> list[int]:
    """A random delay for each failure that leaves another attempt; the script uses the one that applies."""
    backoff = FullJitterBackoff(cap=app.settings.retry_cap_s, base=app.settings.retry_base_s)
    return [round(backoff.compute(failures) * 1000) for failures in range(app.settings.retry_attempts - 1)]
