"""What there is in Redis, looked at once a minute at the most by all instances together, and kept there for all.

The lease is there to bound how often the keyspace is scanned. It is not given back: it runs out.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec

from shared import namespaces
from shared.app import App
from shared.operations import census
from shared.operations.census import Look, Selection
from shared.privacy.masking import mask_key
from shared.store.refusals import is_wrong_type

EVERY_S = namespaces.KEYSPACE_LEASE_TTL_S
BUDGET_S = 2.0
"""How long one survey may take; what it has not seen by then is estimated."""
SAMPLED_SIZES = 100
"""Keys of a kind whose sizes are measured."""
SHOWN_KEYS = 20
"""Masked keys that are kept per namespace."""
MAX_CHARTS = 300
"""Keys of chart caches that are kept, each of at most MAX_CHART_KEY_BYTES."""
MAX_CHART_KEY_BYTES = 500
_MAX_DOCUMENT_BYTES = 1024 * 1024
_KEY = namespaces.build(namespaces.KEYSPACE_SURVEY)
_LEASE = namespaces.build(namespaces.KEYSPACE_LEASE)


class KindCount(msgspec.Struct, frozen=True, rename="camel"):
    """The keys of one kind in one namespace; `bytes` is estimated from a sample, None where Redis does not tell."""

    namespace: str
    kind: str
    count: int
    bytes: int | None
    without_ttl: int


class Survey(msgspec.Struct, frozen=True):
    """One look at all keys. When it is not `complete`, counts are estimated: SCAN goes by the hashes of the keys, so
    those that were seen are a random sample. `shown` are some keys by namespace, masked. `charts` are keys of chart
    caches (as latin-1), `unbounded` counts live sessions that nothing ends."""

    complete: bool
    kinds: list[KindCount]
    shown: dict[str, list[str]]
    charts: list[str]
    charts_total: int
    unbounded: int
    age_s: float = 0.0

    @property
    def chart_keys(self) -> list[bytes]:
        """`charts` as they are in Redis; of what another application wrote, as many as there can be of ours."""
        return [key.encode("latin-1", errors="replace") for key in self.charts[:MAX_CHARTS]]


async def current(app: App) -> Survey | None:
    """The last survey, a new one when that is due; None while another instance takes the very first one, or where there
    is none and Redis takes no writes.

    Raises what the Redis client raises.
    """
    from redis.exceptions import ResponseError

    found = await _stored(app)
    if found is not None and found.age_s < EVERY_S:
        return found
    try:
        if not await app.redis.set(_LEASE, app.owner, nx=True, px=EVERY_S * 1000):
            if await app.redis.pttl(_LEASE) == -1:  # another application's: it would hold for ever
                await app.redis.pexpire(_LEASE, EVERY_S * 1000)
            return found
    except ResponseError:  # Redis is full, or a replica: without the lease nothing bounds the scans
        return found
    taken = await _Walk(app).survey()
    with suppress(ResponseError):
        await app.redis.set(_KEY, msgspec.json.encode(taken), ex=namespaces.KEYSPACE_TTL_S)
    return taken


async def due_in_s(app: App) -> int:
    """Seconds until the next survey can be taken, at least 1."""
    return max(1, -(-int(await app.redis.pttl(_LEASE)) // 1000))


async def _stored(app: App) -> Survey | None:
    pipeline = app.redis.pipeline(transaction=False)
    pipeline.getrange(_KEY, 0, _MAX_DOCUMENT_BYTES)
    pipeline.pttl(_KEY)
    document, left_ms = await pipeline.execute(raise_on_error=False)
    for reply in (document, left_ms):
        if isinstance(reply, Exception) and not is_wrong_type(reply):
            raise reply
    try:
        found = msgspec.json.decode(document, type=Survey)
    except (msgspec.MsgspecError, TypeError):
        return None  # none yet, or another application's
    age_s = namespaces.KEYSPACE_TTL_S - left_ms / 1000
    return msgspec.structs.replace(found, age_s=round(age_s, 1)) if 0 <= age_s <= namespaces.KEYSPACE_TTL_S else None


class _Walk:
    """What is remembered of the keys on the way through them."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._seen = 0
        self._counts: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._without_ttl: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._sample: defaultdict[tuple[str, str], list[bytes]] = defaultdict(list)
        self._charts: list[bytes] = []
        self._unbounded = 0

    async def survey(self) -> Survey:
        app, began_s, complete = self._app, time.monotonic(), True
        async for keys in census.pages(app, Selection()):
            if time.monotonic() - began_s > BUDGET_S:
                complete = False
                break
            await self._add(await census.look(app, keys))
        total = self._seen if complete else max(self._seen, await app.redis.dbsize())
        scale = total / self._seen if self._seen else 1.0
        kinds = [await self._measured(place, scale) for place in sorted(self._counts)]
        charts = [one.count for one in kinds if one.kind == namespaces.CHART_CACHE.name]
        return Survey(
            complete,
            kinds,
            self._shown(),
            [key.decode("latin-1") for key in self._charts],
            sum(charts),
            round(self._unbounded * scale),
        )

    async def _add(self, looks: Sequence[Look]) -> None:
        self._seen += len(looks)
        for one in looks:
            place = (str(census.namespace_of(one.key)), one.kind_name)
            self._counts[place] += 1
            self._without_ttl[place] += one.ttl_ms is None
            if len(self._sample[place]) < SAMPLED_SIZES:
                self._sample[place].append(one.key)
            is_chart = one.kind is namespaces.CHART_CACHE and len(one.key) <= MAX_CHART_KEY_BYTES
            if is_chart and len(self._charts) < MAX_CHARTS:
                self._charts.append(one.key)
        self._unbounded += await _unbounded(self._app, [one.key for one in looks if one.kind is namespaces.PHANTOM])

    async def _measured(self, place: tuple[str, str], scale: float) -> KindCount:
        looks = await census.look(self._app, self._sample[place], sizes=True)
        sizes = [one.size for one in looks if one.size is not None]
        count = round(self._counts[place] * scale)
        size = round(sum(sizes) / len(sizes) * count) if sizes else None
        return KindCount(*place, count, size, round(self._without_ttl[place] * scale))

    def _shown(self) -> dict[str, list[str]]:
        """Some keys of each namespace, of as many kinds as there is room for."""
        settings = self._app.settings
        shown: defaultdict[str, list[str]] = defaultdict(list)
        for turn in range(SHOWN_KEYS):
            for (namespace, _), keys in sorted(self._sample.items()):
                if turn < len(keys) and len(shown[namespace]) < SHOWN_KEYS:
                    shown[namespace].append(
                        mask_key(keys[turn], settings.audit_key, hide_users=settings.audit_pseudonymise_users)
                    )
        return dict(shown)


async def _unbounded(app: App, phantoms: Sequence[bytes]) -> int:
    """How many of these phantoms are of sessions that live and have no end."""
    if not phantoms:
        return 0
    pipeline = app.redis.pipeline(transaction=False)
    for key in phantoms:
        pipeline.hmget(key, ["life", "ended_ms", "expires_ms"])
    replies: list[Any] = await pipeline.execute(raise_on_error=False)
    return sum(
        isinstance(reply, list) and bool(reply[0]) and reply[1] is None and reply[2] is None for reply in replies
    )
