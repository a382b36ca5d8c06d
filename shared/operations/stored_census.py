"""The census of the keyspace for the monitor page and the debug endpoint: taken at most once a minute by all instances
together, and stored in Redis for all of them.

The lease bounds how often the keyspace is scanned. It is not released: it expires.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from redis.exceptions import ResponseError

from shared import namespaces
from shared.app import App
from shared.operations import census
from shared.operations.census import Census, Group, Look
from shared.operations.key_selection import Namespace
from shared.privacy.masking import mask_key
from shared.store.refusals import is_wrong_type

EVERY_S = namespaces.KEYSPACE_LEASE_TTL_S
BUDGET_S = 2.0
"""Longest walk; numbers of keys that it did not visit are extrapolated."""
SAMPLE = 300
"""Keys of a kind whose sizes are measured, and chart caches whose keys are stored."""
SHOWN_KEYS = 20
"""Masked keys that are stored per namespace."""
SHOWN_USERS = 20
MAX_CHART_KEY_BYTES = 500
_MAX_DOCUMENT_BYTES = 1024 * 1024
_KEY = namespaces.build(namespaces.KEYSPACE_SURVEY)
_LEASE = namespaces.build(namespaces.KEYSPACE_LEASE)
_USER_SESSIONS = (Namespace.FUNCTIONS, namespaces.USER_SESSIONS.name)
_CHART_CACHES = (Namespace(namespaces.CHART_CACHE.namespace), namespaces.CHART_CACHE.name)


class KindCount(msgspec.Struct, frozen=True, rename="camel"):
    """The keys of one kind in one namespace; `bytes` is extrapolated from a sample, None where Redis does not tell."""

    namespace: str
    kind: str
    count: int
    bytes: int | None
    without_ttl: int


class UserSessions(msgspec.Struct, frozen=True):
    """A user, by id or pseudonym as AUDIT_PSEUDONYMISE_USERS says, with the number of its live sessions."""

    user: str
    sessions: int


class StoredCensus(msgspec.Struct, frozen=True):
    """What is stored of a census. `shown` are masked keys by namespace, `charts` keys of chart caches (as latin-1);
    `unbounded` counts live sessions that have no expiry; `users` are those with the most live sessions, of up to SAMPLE
    of the `users_total` users that have one. `age_s` is 0 for a census that was just taken."""

    complete: bool
    kinds: list[KindCount]
    shown: dict[str, list[str]]
    charts: list[str]
    charts_total: int
    unbounded: int
    users: list[UserSessions] = []
    users_total: int = 0
    age_s: float = 0.0

    @property
    def chart_keys(self) -> list[bytes]:
        """`charts` as they are in Redis; of a document that another application wrote, at most SAMPLE."""
        return [key.encode("latin-1", errors="replace") for key in self.charts[:SAMPLE]]


async def current(app: App) -> StoredCensus | None:
    """The stored census, or a new one when that is due. None when there is none yet: another instance is taking the
    first one, or Redis refuses writes.

    Raises what the Redis client raises.
    """
    stored = await _read(app)
    if stored is not None and stored.age_s < EVERY_S:
        return stored
    try:
        if not await app.redis.set(_LEASE, app.owner, nx=True, px=EVERY_S * 1000):
            if (
                not 0 <= await app.redis.pttl(_LEASE) <= EVERY_S * 1000
            ):  # another application's, or the clock was set back
                await app.redis.pexpire(_LEASE, EVERY_S * 1000)
            return stored
    except ResponseError:  # Redis is full or a replica: without the lease nothing bounds the scans
        return stored
    new = await _take(app)
    with suppress(ResponseError):
        await app.redis.set(_KEY, msgspec.json.encode(new), ex=namespaces.KEYSPACE_TTL_S)
    return new


async def due_in_s(app: App) -> int:
    """Seconds until the next census may be taken, at least 1."""
    return max(1, -(-int(await app.redis.pttl(_LEASE)) // 1000))


async def _read(app: App) -> StoredCensus | None:
    """The stored census; None when there is none, or another application has written the key."""
    pipeline = app.redis.pipeline(transaction=False)
    pipeline.getrange(_KEY, 0, _MAX_DOCUMENT_BYTES)
    pipeline.pttl(_KEY)
    document, ttl_ms = await pipeline.execute(raise_on_error=False)
    for reply in (document, ttl_ms):
        if isinstance(reply, Exception) and not is_wrong_type(reply):
            raise reply
    try:
        stored = msgspec.json.decode(document, type=StoredCensus)
    except (msgspec.MsgspecError, TypeError):
        return None
    age_s = namespaces.KEYSPACE_TTL_S - ttl_ms / 1000
    return msgspec.structs.replace(stored, age_s=round(age_s, 1)) if 0 <= age_s <= namespaces.KEYSPACE_TTL_S else None


async def _take(app: App) -> StoredCensus:
    sessions = unbounded = 0

    async def count_unbounded(looks: Sequence[Look]) -> None:
        nonlocal sessions, unbounded
        phantoms = [key.key for key in looks if key.kind is namespaces.PHANTOM]
        sessions += len(phantoms)
        unbounded += await _unbounded(app, phantoms)

    taken = await census.take(app, budget_s=BUDGET_S, sample=SAMPLE, on_page=count_unbounded)
    counts = {(kind.namespace, kind.kind): kind.keys for kind in taken.kinds}
    all_sessions = counts.get((Namespace.FUNCTIONS, namespaces.PHANTOM.name), 0)
    charts = [key for key in taken.samples.get(_CHART_CACHES, ()) if len(key) <= MAX_CHART_KEY_BYTES]
    return StoredCensus(
        complete=taken.complete,
        kinds=_kinds(taken),
        shown=_shown(app, taken.samples),
        charts=[key.decode("latin-1") for key in charts],
        charts_total=counts.get(_CHART_CACHES, 0),
        unbounded=round(unbounded * all_sessions / sessions) if sessions else 0,
        users=await _users(app, taken.samples.get(_USER_SESSIONS, ())),
        users_total=counts.get(_USER_SESSIONS, 0),
    )


def _kinds(taken: Census) -> list[KindCount]:
    return [KindCount(kind.namespace.value, kind.kind, kind.keys, kind.bytes, kind.without_ttl) for kind in taken.kinds]


def _shown(app: App, samples: Mapping[Group, Sequence[bytes]]) -> dict[str, list[str]]:
    """Some keys of each namespace, of as many kinds as there is room for."""
    shown: defaultdict[str, list[str]] = defaultdict(list)
    for index in range(SHOWN_KEYS):
        for (namespace, _), keys in samples.items():
            if index < len(keys) and len(shown[namespace.value]) < SHOWN_KEYS:
                hide_users = app.settings.audit_pseudonymise_users
                shown[namespace.value].append(mask_key(keys[index], app.settings.audit_key, hide_users=hide_users))
    return dict(shown)


async def _unbounded(app: App, phantoms: Sequence[bytes]) -> int:
    """How many of these phantoms are of live sessions without an expiry."""
    if not phantoms:
        return 0
    pipeline = app.redis.pipeline(transaction=False)
    for key in phantoms:
        pipeline.hmget(key, ["life", "ended_ms", "expires_ms"])
    replies: list[Any] = await pipeline.execute(raise_on_error=False)
    return sum(
        isinstance(reply, list) and bool(reply[0]) and reply[1] is None and reply[2] is None for reply in replies
    )


async def _users(app: App, keys: Sequence[bytes]) -> list[UserSessions]:
    """The users of these keys that have the most live sessions."""
    if not keys:
        return []
    pipeline = app.redis.pipeline(transaction=False)
    for key in keys:
        pipeline.zcard(key)
    replies: list[Any] = await pipeline.execute(raise_on_error=False)
    prefix = namespaces.USER_SESSIONS.prefix.decode()
    counted = [
        UserSessions(app.shown(key).removeprefix(prefix), reply)
        for key, reply in zip(keys, replies, strict=True)
        if isinstance(reply, int) and reply
    ]
    return sorted(counted, key=lambda user: (-user.sessions, user.user))[:SHOWN_USERS]
