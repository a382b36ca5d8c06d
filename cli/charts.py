"""`charts list`: the chart caches, how old and how large they are."""

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
    """One cache, `bytes` as Redis counts them. Of one that is no chart only the key, TTL and size are known."""

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
    stale: Annotated[bool, typer.Option("--stale", help="Only those whose source is gone.")] = False,
    limit: formatting.Limit = 100,
    cursor: formatting.Cursor = "0",
    json: Json = False,
) -> None:
    """List chart caches, newest first within the page: age, TTL, stale or not, points of the source, size.

    A page that is not the last one says with which --cursor to go on. JSON: {"charts": [{"key", "age_s", "ttl_s",
    "stale", "points", "bytes"}], "cursor"}; what is no chart of this app has null for age_s, stale and points, and
    cursor is null at the end.

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
        state = "no chart" if row.stale is None else "stale" if row.stale else ""
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
        some, waiting = _distinct(waiting)
        found = await chart_views.read(app, [one.key for one in some])
        views: dict[tuple[str, ...], ChartView] = {(one.chart_id, one.data_type): one for one in found}
        rows += [_row(app, one, views.get(_names(one.key))) for one in some]
    return rows


def _distinct(looks: Sequence[Look]) -> tuple[list[Look], list[Look]]:
    """As many as are read at once, told apart by what a view shows of them; and the others."""
    named: dict[tuple[str, ...], Look] = {}
    for one in looks:
        named.setdefault(_names(one.key), one)
    some = list(named.values())[: chart_views.SHOWN]
    keys = {one.key for one in some}
    return some, [one for one in looks if one.key not in keys]


def _names(key: bytes) -> tuple[str, ...]:
    return tuple(map(printable, namespaces.parts_of(namespaces.CHART_CACHE, key) or ()))


def _row(app: App, one: Look, view: ChartView | None) -> Row:
    ttl_s = None if one.ttl_ms is None else one.ttl_ms / 1000
    if view is None:
        return Row(shown(app, one.key), None, ttl_s, None, None, one.size, "")
    line = _line(view.sparkline or [])
    return Row(shown(app, one.key), view.age_s, ttl_s, view.stale, view.points, one.size, line)


def _line(values: Sequence[float]) -> str:
    """The course of a chart in LINE_CHARS characters."""
    if not values:
        return ""
    low, high = min(values), max(values)
    count = min(LINE_CHARS, len(values))
    picked = [values[at * (len(values) - 1) // max(1, count - 1)] for at in range(count)]
    scale = (high / 2 - low / 2) or 1  # halves: the difference of two doubles can overflow
    return "".join(_LEVELS[round((one / 2 - low / 2) / scale * (len(_LEVELS) - 1))] for one in picked)
