"""Chart caches with their age, TTL, state and source: for the HTTP API, the command line and the monitor page."""

from collections.abc import Sequence

import msgspec

from shared import namespaces
from shared.app import App
from shared.charts import source_state
from shared.charts import views as chart_views
from shared.charts.source_state import RefreshView, SourceView
from shared.charts.views import ChartView
from shared.operations import census
from shared.operations.census import Look
from shared.operations.key_selection import Selection
from shared.privacy.masking import mask_key, printable

MAX_PAGE = 500
_CACHES = Selection(kinds=frozenset({namespaces.CHART_CACHE.name}))


class ChartRow(msgspec.Struct, frozen=True, rename="camel"):
    """A cache; `bytes` as Redis counts them. A value that is not a chart of this app has only key, TTL and size.
    `refresh` is null for a chart without a source."""

    key: str
    chart_id: str
    data_type: str
    age_s: float | None
    ttl_s: float | None
    stale: bool | None
    stale_since: str | None
    points: int | None
    bytes: int | None
    sparkline: list[float]
    refresh: RefreshView | None


class Charts(msgspec.Struct, frozen=True):
    """A page of charts, newest first within the page. `cursor` is null on the last one."""

    charts: list[ChartRow]
    cursor: str | None
    sources: list[SourceView]


async def read(app: App, cursor: int, limit: int) -> Charts:
    """The document of GET /api/charts. Raises what the Redis client raises."""
    rows, next_cursor = await page(app, cursor, limit)
    return Charts(rows, str(next_cursor) if next_cursor else None, await source_state.read_sources(app))


async def page(app: App, cursor: int, limit: int, *, stale: bool = False) -> tuple[list[ChartRow], int]:
    """About `limit` caches from `cursor` on, newest first, and the next cursor, 0 at the end; with `stale` only stale
    ones.

    Raises what the Redis client raises.
    """

    async def rows_of(keys: list[bytes]) -> list[ChartRow]:
        return [row for row in await _rows(app, keys) if row.stale or not stale]

    rows, cursor = await census.list_rows(app, _CACHES, cursor, limit, rows_of)
    return sorted(rows, key=lambda row: (row.age_s is None, row.age_s)), cursor


async def newest(app: App, keys: Sequence[bytes]) -> list[ChartRow]:
    """The newest of these caches, as many as chart_views.read returns. Raises what the Redis client raises."""
    views = dict(await chart_views.read_keyed(app, keys))
    looks = {look.key: look for look in await census.look(app, views, sizes=True)}
    refreshes = await source_state.read_refreshes(app, [source_state.source_key(key) or b"" for key in views])
    return [
        _row(app, looks[key], view, refresh)
        for (key, view), refresh in zip(views.items(), refreshes, strict=True)
        if key in looks
    ]


async def _rows(app: App, keys: Sequence[bytes]) -> list[ChartRow]:
    rows: list[ChartRow] = []
    waiting = await census.look(app, keys, sizes=True)
    while waiting:
        batch, waiting = _distinct(waiting)
        read = await chart_views.read(app, [look.key for look in batch])
        views: dict[tuple[str, ...], ChartView] = {(view.chart_id, view.data_type): view for view in read}
        sources = [source_state.source_key(look.key) or b"" for look in batch]
        refreshes = await source_state.read_refreshes(app, sources)
        rows += [
            _row(app, look, views.get(_names(look.key)), refresh)
            for look, refresh in zip(batch, refreshes, strict=True)
        ]
    return rows


def _distinct(looks: Sequence[Look]) -> tuple[list[Look], list[Look]]:
    """A batch of caches that one read returns, with distinct names as views show them; and the others."""
    by_names: dict[tuple[str, ...], Look] = {}
    for look in looks:
        by_names.setdefault(_names(look.key), look)
    batch = list(by_names.values())[: chart_views.SHOWN]
    keys = {look.key for look in batch}
    return batch, [look for look in looks if look.key not in keys]


def _names(key: bytes) -> tuple[str, ...]:
    return tuple(map(printable, namespaces.parts_of(namespaces.CHART_CACHE, key) or ()))


def _row(app: App, look: Look, view: ChartView | None, refresh: RefreshView | None) -> ChartRow:
    names = _names(look.key)
    settings = app.settings
    return ChartRow(
        key=mask_key(look.key, settings.audit_key, hide_users=settings.audit_pseudonymise_users),
        chart_id=names[0] if names else "",
        data_type=names[1] if names else "",
        age_s=view.age_s if view else None,
        ttl_s=None if look.ttl_ms is None else look.ttl_ms / 1000,
        stale=view.stale if view else None,
        stale_since=view.stale_since if view else None,
        points=view.points if view else None,
        bytes=look.size,
        sparkline=(view.sparkline or []) if view else [],
        refresh=refresh,
    )
