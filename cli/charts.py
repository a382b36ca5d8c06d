"""`charts`: the chart caches with age, TTL, size and source; refresh one; check the sources."""

import asyncio
import os
import time
from functools import partial
from typing import Annotated, Any

import typer
from rich.table import Table

from cli import formatting, interaction
from cli.terminal import Exit, Json, Refused, complain, open_console, run, show_json, shown
from shared import namespaces
from shared.app import App
from shared.charts import schedule, source_state
from shared.charts import views as chart_views
from shared.charts.schedule import Chart
from shared.charts.source_state import SourceView
from shared.errors import SourceDown
from shared.operations import chart_list
from shared.operations.chart_list import ChartRow
from shared.reading.explain import explain_chart, to_text
from shared.sources.config import Source
from shared.words import camel

commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Chart caches: list, refresh, check sources.")
sources = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Sources of charts: check.")
commands.add_typer(sources, name="sources")

ChartName = Annotated[str, typer.Argument(metavar="CHART", help="chartId:dataType, or the key of the chart.")]
_JSON_MEMBERS = ("key", "age_s", "ttl_s", "stale", "stale_since", "points", "bytes", "refresh")
_PICKED_UP_S = 10.0
_POLL_S = 0.1


@commands.command("list")
def list_charts(
    stale: Annotated[bool, typer.Option("--stale", help="Only caches whose source is gone.")] = False,
    limit: formatting.Limit = 100,
    cursor: formatting.Cursor = "0",
    json: Json = False,
) -> None:
    """List the sources of charts and the chart caches. Caches come newest first within a page, with age, TTL, whether
    stale, points of the source, size, and of a chart with a source when it is fetched next and the last error.

    All pages but the last end with the --cursor of the next one. JSON: {"sources": [...], "charts": [{"key", "ageS",
    "ttlS", "stale", "staleSince", "points", "bytes", "refresh"}], "cursor"}; a value that is not a chart of this app
    has null for ageS, stale and points; cursor is null at the end.

    Example: python3 manage.py charts list --stale
    """
    run(partial(_list, stale=stale, limit=limit, cursor=cursor, json=json))


async def _list(app: App, *, stale: bool, limit: int, cursor: str, json: bool) -> Exit:
    start = formatting.parse_cursor(cursor)
    with interaction.explaining_interruption(lambda: "nothing was changed"):
        rows, next_cursor = await chart_list.page(app, start, limit, stale=stale)
        states = await source_state.read_sources(app)
    if json:
        charts = [{camel(name): getattr(row, name) for name in _JSON_MEMBERS} for row in rows]
        show_json({"sources": states, "charts": charts, "cursor": str(next_cursor) if next_cursor else None})
        return Exit.OK
    if states:
        open_console().print(_sources_table(states))
        open_console().print("")
    if rows:
        console = open_console()
        console.print(_charts_table(rows, console.width, with_refresh=bool(states)))
    formatting.print_page_end(len(rows), next_cursor)
    return Exit.OK


def _charts_table(rows: list[ChartRow], width: int, *, with_refresh: bool) -> Table:
    """On a narrow terminal without the drawing, then without points and size: keys are long."""
    right, left = ("Age", "TTL", "Points", "Size"), ("", "", *(("Next", "Last error") if with_refresh else ()), "Cache")
    lines = []
    for row in rows:
        state = "not a chart" if row.stale is None else "stale" if row.stale else ""
        points = "-" if row.points is None else f"{row.points:,}"
        ttl = "-" if row.ttl_s is None else formatting.duration(row.ttl_s)
        age = "-" if row.age_s is None else formatting.duration(row.age_s)
        refresh = (_next(row), (row.refresh and row.refresh.error) or "") if with_refresh else ()
        line = chart_views.drawn(row.sparkline)
        lines.append((age, ttl, points, formatting.size(row.bytes), state, line, *refresh, row.key))
    shown_columns = formatting.columns_that_fit([(*right, *left), *lines], width, (5, 2, 3))
    table = _table(
        tuple(header for number, header in enumerate(right) if number in shown_columns),
        tuple(header for number, header in enumerate(left, len(right)) if number in shown_columns),
    )
    for cells in lines:
        table.add_row(*(cells[number] for number in shown_columns))
    return table


def _next(row: ChartRow) -> str:
    """When the chart is fetched next."""
    if row.refresh is None:
        return "no source"
    if row.refresh.deleted:
        return "deleted"
    if row.refresh.due_in_s is None:
        return "-"
    return f"in {formatting.duration(row.refresh.due_in_s)}{', watched' if row.refresh.watched else ''}"


def _sources_table(states: list[SourceView]) -> Table:
    table = _table(("Charts", "In flight"), ("State", "Answered", "Last error", "Source"))
    for view in states:
        state = f"{view.state} for {formatting.duration(view.rests_for_s)}" if view.rests_for_s else view.state
        answered = "never" if view.answered_age_s is None else f"{formatting.duration(view.answered_age_s)} ago"
        table.add_row(
            str(view.charts), str(view.in_flight), state, answered, view.error or "", f"{view.match} from {view.origin}"
        )
    return table


def _table(right: tuple[str, ...], left: tuple[str, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in right:
        table.add_column(header, justify="right", no_wrap=True)
    for number, header in enumerate(left):
        table.add_column(header, no_wrap=number < len(left) - 1, overflow="fold")
    return table


@commands.command("refresh")
def refresh_chart(chart: ChartName, json: Json = False) -> None:
    """Fetch a chart from its source now. Also one that a client deleted; waits for the result.

    An instance of the app fetches it. Exits with 1 if the source has no chart, or if no instance takes it. JSON:
    {"key", "fetched", "origin", "error"}; error is null where it was fetched.

    Example: python3 manage.py charts refresh co2-flow:realtime
    """
    run(partial(_refresh, name=chart, json=json))


async def _refresh(app: App, *, name: str, json: bool = False) -> Exit:
    chart = _chart(app, name)
    before = await _results(app, chart)
    if not any(await schedule.note(app, [chart], "asked")):
        raise Refused("the value does not expire, or is no chart: it is not replaced")
    if rests_for_s := await _rests_for_s(app, chart):
        complain(f"its source is left alone for {formatting.duration(rests_for_s)}; the chart is fetched then")
        return Exit.ATTENTION
    deadline_s = time.monotonic() + chart.source.timeout_s + _PICKED_UP_S
    error: str | None = None
    while (result := await _results(app, chart)) == before:
        if time.monotonic() > deadline_s:
            error = "no instance of the app has fetched it; it stays due"
            break
        await asyncio.sleep(_POLL_S)
    else:
        error = None if result[0] != before[0] else f"{result[2]}; it is tried again"
    key = shown(app, chart.key)
    if json:
        show_json({"key": key, "fetched": error is None, "origin": chart.source.origin, "error": error})
    elif error is None:
        print(f"{key}: fetched from {chart.source.origin}")
    else:
        complain(f"{key}: {error}")
    return Exit.OK if error is None else Exit.ATTENTION


async def _rests_for_s(app: App, chart: Chart) -> float:
    states = zip(_entries(app), await source_state.read_sources(app), strict=True)
    return next((view.rests_for_s for source, view in states if source == chart.source), 0.0)


async def _results(app: App, chart: Chart) -> tuple[Any, Any, str]:
    """When the chart was fetched and failed last, and the error."""
    ((_, refreshed, failed),) = await app.run_many(source_state.READ_FIELDS, [([chart.state], ("refreshed", "failed"))])
    (view,) = await source_state.read_refreshes(app, [chart.key])
    return refreshed, failed, (view and view.error) or ""


@sources.command("check")
def check_sources(
    chart: Annotated[str, typer.Argument(metavar="CHART", help="Only the source of this chart.")] = "",
    json: Json = False,
) -> None:
    """Fetch one chart from each source, without writing it. Shows what the reader makes of it.

    Of each source a chart that it keeps is fetched, or the one that its glob names; name a CHART where there is none.
    Exits with 1 if a source has no chart. JSON: {"sources": [{"match", "origin", "key", "error", "explanation"}]};
    explanation is as of `explain`.

    Example: python3 manage.py charts sources check co2-flow:realtime
    """
    run(partial(_check, name=chart, json=json))


async def _check(app: App, *, name: str, json: bool = False) -> Exit:
    if not app.settings.chart_sources:
        raise Refused("CHART_SOURCES is not set")
    from shared.charts import refresh

    charts = [_chart(app, name)] if name else [await _example(app, number) for number in range(len(_entries(app)))]
    checked = []
    try:
        for source, chart in zip([charts[0].source] if name and charts[0] else _entries(app), charts, strict=True):
            result = await _checked(app, source, chart)
            checked.append(result)
            if not json:
                _print_checked(result)
    finally:
        await refresh.close(app)
    if json:
        show_json({"sources": checked})
    return Exit.OK if all(result["error"] is None for result in checked) else Exit.ATTENTION


async def _checked(app: App, source: Source, chart: Chart | None) -> dict[str, Any]:
    from shared.charts import refresh

    result: dict[str, Any] = {"match": source.match, "origin": source.origin, "key": None, "error": None}
    if chart is None:
        return result | {
            "error": "no chart of it is known; name one: charts sources check CHART",
            "explanation": None,
        }
    result["key"] = shown(app, chart.key)
    try:
        content = await refresh.fetched(app, chart)
    except SourceDown as error:
        return result | {"error": str(error), "explanation": None}
    return result | {"explanation": explain_chart(content, app.settings.overrides.override(chart.key))}


def _print_checked(result: dict[str, Any]) -> None:
    print(f"== {result['match']} from {result['origin']}")
    if result["key"] is not None:
        print(f"chart: {result['key']}")
    print(f"{result['error']}\n" if result["explanation"] is None else to_text(result["explanation"]))


def _entries(app: App) -> tuple[Source, ...]:
    return app.settings.sources.entries


async def _example(app: App, number: int) -> Chart | None:
    """A chart of a source: one that it keeps, or the only one that its glob names."""
    source = _entries(app)[number]
    keys: list[Any] = await app.redis.zrange(schedule.due_key(source), 0, 0)
    if not keys and not set("*?[") & set(source.match) and ":" in source.match:
        keys = [namespaces.CHART_DATA.prefix + source.match.encode()]
    return schedule.chart_of(app, keys[0]) if keys else None


def _chart(app: App, name: str) -> Chart:
    """The chart of a name or key. Raises Refused where it has no source."""
    raw = os.fsencode(name)
    key = raw if raw.startswith(namespaces.CHART_DATA.prefix) else namespaces.CHART_DATA.prefix + raw
    if namespaces.parts_of(namespaces.CHART_DATA, key) is None:
        raise Refused("this is not the name of a chart: expected chartId:dataType, such as co2-flow:realtime")
    if not app.settings.chart_sources:
        raise Refused("CHART_SOURCES is not set: charts have no source to fetch from")
    chart = schedule.chart_of(app, key)
    if chart is None:
        raise Refused(f"no source of CHART_SOURCES matches {shown(app, key)}")
    return chart
