"""Keys whose reaction failed for now: how often, and when each is tried again.

It lives in Redis alone and goes by Redis' clock, so that a restart forgets nothing and no two workers disagree about
what is due. A sorted set has every waiting key by its due time, a hash what failed.

Keys are kept as they are given, here and in the dead letters. A session's key holds a bearer token, so the sessions
reactor gives the key of its phantom, which holds it sealed (session_keys.py).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from shared import namespaces
from shared.app import App
from shared.errors import KeyspaceError
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
    """A key's failures so far. `delay_s` is None when its attempts are used up: then it is to become a dead letter."""

    attempts: int
    delay_s: float | None
    first_ms: int
    last_ms: int


async def schedule(app: App, reactor: str, key: bytes, error: BaseException, *, digest: str = "") -> Schedule:
    """Count one more failure of `key` and say when it is tried again.

    `digest` is that of the content that failed, if it was read: other content starts anew.

    The wait before the n-th retry is random, up to RETRY_BASE_S * 2^(n-1) and at most RETRY_CAP_S (full jitter). A key
    whose attempts are used up stays known until `dead_letters.bury` or `clear` removes it: should neither happen, since
    the worker died, it is due again after a lease.

    Raises redis.exceptions.RedisError or OSError when Redis is away. A call whose answer was lost and that is made
    again counts twice.
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
    """Up to `limit` keys whose time has come, longest due first, by reactor.

    Each is taken for one lease (LEASE_S): nobody else is given it meanwhile, and if nobody has cleared, scheduled or
    buried it by then, it is due again.
    """
    _, *members = await app.run(TAKE_DUE_RETRIES, keys=[_DUE], args=[app.settings.lease_ms, limit])
    due: defaultdict[str, list[bytes]] = defaultdict(list)
    for one in members:
        reactor, _, key = one.partition(b"\0")
        due[reactor.decode()].append(key)
    return dict(due)


async def put_back(app: App, reactor: str, keys: Iterable[bytes]) -> None:
    """Make keys that were taken due again soon, after RETRY_BASE_S: nothing was tried."""
    members = [member(reactor, key) for key in keys]
    if not members:
        return
    seconds, micros = await app.redis.time()
    due_ms = seconds * 1000 + micros // 1000 + round(app.settings.retry_base_s * 1000)
    await app.redis.zadd(_DUE, dict.fromkeys(members, due_ms), xx=True)


async def clear(app: App, reactor: str, keys: Iterable[bytes]) -> None:
    """Forget the failures of these keys: they succeeded, or there is nothing left to do for them."""
    if members := [member(reactor, key) for key in keys]:
        await app.run(CLEAR_RETRIES, keys=[_DUE, _ENTRIES], args=members)


async def not_yet_due(app: App, reactor: str, keys: Sequence[bytes]) -> set[bytes]:
    """Those of `keys` that wait for a retry whose time has not come."""
    members = [member(reactor, key) for key in keys]
    return {keys[position - 1] for position in await app.run(WAITING_RETRIES, keys=[_DUE], args=members)}


async def waiting(app: App) -> int:
    """How many keys wait to be tried again, those that are due included."""
    count, *_ = await app.run(TAKE_DUE_RETRIES, keys=[_DUE], args=[0, 0])
    return int(count)


def member(reactor: str, key: bytes) -> bytes:
    """The name of a key in the retries: its reactor, a zero byte, the key as it is."""
    return reactor.encode() + b"\0" + key


def describe(error: BaseException) -> tuple[str, str]:
    """Class name and message of an error, fit to be kept.

    Only our own errors' messages are: they never hold input, while a library's may quote what it could not read.
    """
    message = str(error) if isinstance(error, KeyspaceError) else ""
    return type(error).__name__, printable(message.encode(errors="backslashreplace"), MAX_MESSAGE_CHARS)


def _delays_ms(app: App) -> list[int]:
    """One wait for each failure that leaves an attempt, freshly drawn; the script takes the one that applies."""
    from redis.backoff import FullJitterBackoff

    backoff = FullJitterBackoff(cap=app.settings.retry_cap_s, base=app.settings.retry_base_s)
    return [round(backoff.compute(failures) * 1000) for failures in range(app.settings.retry_attempts - 1)]
