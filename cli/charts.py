"""`charts list`: the chart caches with age, TTL and size."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from cli import formatting, interaction
from cli.terminal import Exit, Json, open_console, run, show_json, shown
from shared import namespaces
from shared.app import App
from shared.charts import views as chart_views
from shared.charts.views import ChartView
from shared.operations import census
from shared.operations.census import Look
from shared.operations.key_selection import Selection
from shared.privacy.masking import printable

LINE_CHARS = 12
_LEVELS = "▁▂▃▄▅▆▇█"
_CACHES = Selection(kinds=frozenset({namespaces.CHART_CACHE.name}))

commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Chart caches: list.")


class Row(msgspec.Struct, frozen=True):
    """One cache; `bytes` as Redis counts them. A value that is not a chart of this app has only key, TTL and size."""

    key: str
    age_s: float | None
    ttl_s: float | None
    stale: bool | None
    points: int | None
    bytes: int | None
    line: str


@commands.callback()
def _group() -> None:
    """Keeps `list` a command of its own."""


@commands.command("list")
def list_charts(
    stale: Annotated[bool, typer.Option("--stale", help="Only caches whose source is gone.")] = False,
    limit: formatting.Limit = 100,
    cursor: formatting.Cursor = "0",
    json: Json = False,
) -> None:
    """List chart caches, newest first within a page: age, TTL, whether stale, points of the source, size.

    All pages but the last end with the --cursor of the next one. JSON: {"charts": [{"key", "age_s", "ttl_s",
    "stale", "points", "bytes"}], "cursor"}; a value that is not a chart of this app has null for age_s, stale and
    points; cursor is null at the end.

    Example: python manage.py charts list --stale
    """
    run(partial(_list, stale=stale, limit=limit, cursor=cursor, json=json))


async def _list(app: App, *, stale: bool, limit: int, cursor: str, json: bool) -> Exit:
    start = formatting.parse_cursor(cursor)
    with interaction.explaining_interruption(lambda: "nothing was changed"):
        rows, next_cursor = await page(app, start, limit, stale=stale)
    if json:
        charts = [{name: getattr(row, name) for name in Row.__struct_fields__ if name != "line"} for row in rows]
        show_json({"charts": charts, "cursor": str(next_cursor) if next_cursor else None})
        return Exit.OK
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in ("Age", "TTL", "Points", "Size"):
        table.add_column(header, justify="right", no_wrap=True)
    for header in ("", ""):
        table.add_column(header, no_wrap=True)
    table.add_column("Cache", overflow="fold")
    for row in rows:
        state = "not a chart" if row.stale is None else "stale" if row.stale else ""
        points = "-" if row.points is None else f"{row.points:,}"
        ttl = "-" if row.ttl_s is None else formatting.duration(row.ttl_s)
        age = "-" if row.age_s is None else formatting.duration(row.age_s)
        table.add_row(age, ttl, points, formatting.size(row.bytes), state, row.line, row.key)
    if rows:
        open_console().print(table)
    formatting.print_page_end(len(rows), next_cursor)
    return Exit.OK


async def page(app: App, cursor: int, limit: int, *, stale: bool) -> tuple[list[Row], int]:
    """About `limit` caches from `cursor` on, newest first, and the next cursor, 0 at the end.

    Raises what the Redis client raises.
    """

    async def rows_of(keys: list[bytes]) -> list[Row]:
        return [row for row in await _rows(app, keys) if row.stale or not stale]

    rows, cursor = await census.list_rows(app, _CACHES, cursor, limit, rows_of)
    return sorted(rows, key=lambda row: (row.age_s is None, row.age_s)), cursor


async def _rows(app: App, keys: Sequence[bytes]) -> list[Row]:
    rows: list[Row] = []
    waiting = await census.look(app, keys, sizes=True)
    while waiting:
        batch, waiting = _distinct(waiting)
        read = await chart_views.read(app, [look.key for look in batch])
        views: dict[tuple[str, ...], ChartView] = {(view.chart_id, view.data_type): view for view in read}
        rows += [_row(app, look, views.get(_names(look.key))) for look in batch]
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


def _row(app: App, look: Look, view: ChartView | None) -> Row:
    ttl_s = None if look.ttl_ms is None else look.ttl_ms / 1000
    if view is None:
        return Row(shown(app, look.key), None, ttl_s, None, None, look.size, "")
    line = _line(view.sparkline or [])
    return Row(shown(app, look.key), view.age_s, ttl_s, view.stale, view.points, look.size, line)


def _line(values: Sequence[float]) -> str:
    """A sparkline of LINE_CHARS characters."""
    if not values:
        return ""
    low, high = min(values), max(values)
    count = min(LINE_CHARS, len(values))
    sampled = [values[at * (len(values) - 1) // max(1, count - 1)] for at in range(count)]
    scale = (high / 2 - low / 2) or 1  # halves: the difference of two large doubles can overflow
    return "".join(_LEVELS[round((value / 2 - low / 2) / scale * (len(_LEVELS) - 1))] for value in sampled)
