"""`keys list`, `keys stats`, `keys show`: what is in Redis, without showing secrets."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import typer
from rich.console import JustifyMethod
from rich.table import Table

from cli import formatting, interaction
from cli.terminal import Exit, Json, Refused, complain, open_console, run, show_json, shown
from shared.app import App
from shared.operations import census, key_facts, key_search, key_value
from shared.operations.census import Census, KindStatistics, Look
from shared.operations.key_selection import UNKNOWN_KIND, Namespace, Selection, kind_of, namespace_of
from shared.words import camel_names, counted

_BAR_CHARS = 8
_HEADERS = ("Kind", "Keys", "Bytes", "+-", "", "TTL", "No TTL", "Idle")
_NUMBERS = {"Keys", "Bytes", "+-", "No TTL", "Idle"}
_OPTIONAL = (4, 3, 7, 5)
"""Columns of `keys stats` that a narrow terminal does without, the least important first."""
MAX_SHAPES_SHOWN = 40
type _Row = tuple[tuple[str, ...], str]
"""Cells, and their style."""
commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Inspect keys: list, stats, show.")

InNamespace = Annotated[
    Namespace | None,
    typer.Argument(metavar="NAMESPACE", help="nextauth, fabric, fastapi, functions, or `unknown`: of none of these."),
]
KindNames = Annotated[
    list[str] | None,
    typer.Option(
        "--kind",
        metavar="KIND",
        help="Keys of this kind, as `keys stats` names it; `unknown`: of no row of docs/keys.md. Repeatable.",
    ),
]
Match = Annotated[str | None, typer.Option(metavar="GLOB", help="Keys that match this glob of Redis' SCAN.")]


def selection_of(namespace: Namespace | None, kinds: Sequence[str] | None, match: str | None) -> Selection:
    """The keys that the options select. Raises KeyspaceError for a kind that does not exist."""
    return Selection(namespace, frozenset(kinds or ()), None if match is None else os.fsencode(match))


@commands.command("list")
def list_keys(
    namespace: InNamespace = None,
    kind: KindNames = None,
    match: Match = None,
    limit: formatting.Limit = 100,
    cursor: formatting.Cursor = "0",
    json: Json = False,
) -> None:
    """List keys, secrets masked, with kind and TTL.

    Keys are not sorted; each key that exists the whole time is on one of the pages. All pages but the last end with the
    --cursor of the next one.

    JSON: {"keys": [{"key", "namespace", "kind", "ttlS"}], "cursor"}; ttlS is null without a TTL, cursor at the end.

    Example: python3 manage.py keys list nextauth --kind session --limit 20
    """
    run(partial(_list, namespace=namespace, kinds=kind, match=match, limit=limit, cursor=cursor, json=json))


async def _list(
    app: App,
    *,
    namespace: Namespace | None,
    kinds: Sequence[str] | None,
    match: str | None,
    limit: int,
    cursor: str,
    json: bool,
) -> Exit:
    start = formatting.parse_cursor(cursor)
    looks, next_cursor = await page(app, selection_of(namespace, kinds, match), start, limit)
    if json:
        rows = [
            {
                "key": shown(app, look.key),
                "namespace": namespace_of(look.key),
                "kind": look.kind_name,
                "ttlS": None if look.ttl_ms is None else look.ttl_ms / 1000,
            }
            for look in looks
        ]
        show_json({"keys": rows, "cursor": str(next_cursor) if next_cursor else None})
        return Exit.OK
    table = _plain_table("Kind", "TTL", "Key")
    table.columns[1].justify = "right"
    for look in looks:
        table.add_row(look.kind_name, _ttl(look.ttl_ms), shown(app, look.key))
    if looks:
        open_console().print(table)
    formatting.print_page_end(len(looks), next_cursor)
    return Exit.OK


async def page(app: App, selection: Selection, cursor: int, limit: int) -> tuple[list[Look], int]:
    """About `limit` keys from `cursor` on, and the next cursor, 0 at the end. Raises what the Redis client raises."""
    return await census.list_rows(app, selection, cursor, limit, partial(census.look, app))


def _ttl(ttl_ms: int | None) -> str:
    return "-" if ttl_ms is None else formatting.duration(ttl_ms / 1000)


def _plain_table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


@commands.command("stats")
def show_statistics(json: Json = False) -> None:
    """Count keys and bytes per namespace and kind, with their TTLs.

    Keys of no known kind are listed by their shape: the words that they share, with * for what may be an id.

    Sizes are as Redis counts them (MEMORY USAGE), measured for up to 1,000 random keys of a kind; the true sum is
    within the +- shown with 95 % confidence. TTL: shortest, median, longest. Idle: the longest time that a key was
    neither read nor written, so the oldest key is at least that old; the app's sweep reads batches, charts and
    sessions, which are never idle for long while it runs. Unknown under an LFU policy.

    JSON: {"kinds": [{"namespace", "kind", "keys", "bytes", "bytesError", "sampled", "withoutTtl", "ttlMinS",
    "ttlMedianS", "ttlMaxS", "longestIdleS"}], "shapes": the same
    of keys of no known kind, with a shape as "kind"; "keys", "bytes", "bytesError", "tookS"}.

    Example: python3 manage.py keys stats
    """
    run(partial(_statistics, json=json))


async def _statistics(app: App, *, json: bool) -> Exit:
    with (
        interaction.explaining_interruption(lambda: "nothing was changed; run it again from the start"),
        interaction.progress(await app.redis.dbsize()) as progress,
    ):
        taken = await census.take(app, progress=progress, with_shapes=True)
    if json:
        total, error = census.total_bytes(taken.kinds)
        show_json(
            {
                "kinds": taken.kinds,
                "shapes": taken.shapes,
                "keys": taken.keys,
                "bytes": total,
                "bytesError": error,
                "tookS": taken.took_s,
            }
        )
    else:
        console = open_console()
        console.print(statistics_table(taken, console.width))
        complain("TTL: shortest, median, longest. Idle: longest time that a key was neither read nor written.")
    return Exit.OK


def statistics_table(taken: Census, width: int) -> Table:
    """A row per kind under one per namespace; bars are shares of all bytes. Columns that `width` has no room for are
    left out."""
    rows = _statistics_rows(taken)
    shown_columns = formatting.columns_that_fit([_HEADERS, *(cells for cells, _ in rows)], width, _OPTIONAL)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number in shown_columns:
        justify: JustifyMethod = "right" if _HEADERS[number] in _NUMBERS else "left"
        table.add_column(_HEADERS[number], justify=justify, no_wrap=True)
    for cells, style in rows:
        table.add_row(*(cells[number] for number in shown_columns if number < len(cells)), style=style)
    return table


def _statistics_rows(taken: Census) -> list[_Row]:
    all_bytes = census.total_bytes(taken.kinds)[0]
    rows: list[_Row] = []
    for namespace in Namespace:
        kinds = [kind for kind in taken.kinds if kind.namespace is namespace]
        if kinds:
            count, total = sum(kind.keys for kind in kinds), census.total_bytes(kinds)[0]
            rows.append(((str(namespace), f"{count:,}", formatting.size(total), _error(kinds)), "bold"))
        for kind in kinds:
            rows.append(((f"  {kind.kind}", *_cells(kind, all_bytes)), ""))
            if kind.kind == UNKNOWN_KIND:
                rows += _shape_rows([shape for shape in taken.shapes if shape.namespace is namespace], all_bytes)
    rows.append((("all", f"{taken.keys:,}", formatting.size(all_bytes), _error(taken.kinds)), "bold"))
    return rows


def _shape_rows(shapes: Sequence[KindStatistics], all_bytes: int | None) -> Iterator[_Row]:
    """A row per shape of keys of no known kind, under one per first word where several have it."""
    by_word: dict[str, list[KindStatistics]] = {}
    for shape in shapes[:MAX_SHAPES_SHOWN]:
        by_word.setdefault(shape.kind.partition(":")[0], []).append(shape)
    for word, members in by_word.items():
        if len(members) > 1:
            count, total = sum(shape.keys for shape in members), census.total_bytes(members)[0]
            yield (f"    {word}:", f"{count:,}", formatting.size(total), _error(members)), ""
        for shape in members:
            yield (" " * (6 if len(members) > 1 else 4) + shape.kind, *_cells(shape, all_bytes)), ""
    if rest := shapes[MAX_SHAPES_SHOWN:]:
        count, total = sum(shape.keys for shape in rest), census.total_bytes(rest)[0]
        yield (f"    {counted(len(rest), 'more shape')}", f"{count:,}", formatting.size(total), _error(rest)), ""


def _cells(kind: KindStatistics, total: int | None) -> tuple[str, ...]:
    ttls = (kind.ttl_min_s, kind.ttl_median_s, kind.ttl_max_s)
    return (
        f"{kind.keys:,}",
        formatting.size(kind.bytes),
        _error([kind]),
        _bar((kind.bytes or 0) / total if total else 0.0),
        " ".join(formatting.duration(ttl) for ttl in ttls) if kind.ttl_min_s is not None else "-",
        f"{kind.without_ttl:,}",
        formatting.duration(kind.longest_idle_s) if kind.longest_idle_s is not None else "?",
    )


def _error(kinds: Sequence[KindStatistics]) -> str:
    total, error = census.total_bytes(kinds)
    if total is None or error is None:
        return ""
    return f"{100 * error / total:.1f} %" if any(kind.sampled < kind.keys for kind in kinds) else "exact"


def _bar(share: float) -> str:
    """A bar in eighths of a character; a share above 0 has at least one."""
    eighths = max(round(share * _BAR_CHARS * 8), 1 if share else 0)
    return "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]


@commands.command("show")
def show_key(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="The key; its masked form; @FINGERPRINT of a session; or - for stdin.")
    ],
    json: Json = False,
) -> None:
    """Show one key and its value, secrets masked. Also what Redis and the app know about it.

    KEY is the key itself; or as other commands show it, masked and with escapes (nextauth:session:~0123456789ab); or,
    for a session, @ and 12 to 32 digits of the fingerprint in audit records. The latter two are searched among all
    keys. With - the key is read from stdin, up to the line feed, which keeps a token out of the shell's history.

    For keys in nextauth, user tokens, the app's own state and keys of no row of docs/keys.md only the shape of the
    value is shown: names of fields, types, lengths. Exits with 1 when the key does not exist.

    JSON: {"key", "exists", "namespace", "kind", "owner", "purpose", "tableTtlS", "redis": {...}, "app": {...},
    "value": {"masked", ...}}; unknown facts are left out of "redis" and "app".

    Example: printf %s "$KEY" | python3 manage.py keys show -
    """
    run(partial(_show, argument=os.fsencode(key), json=json))


async def _show(app: App, *, argument: bytes, json: bool) -> Exit:
    with interaction.explaining_interruption(lambda: "nothing was changed"):
        text = await interaction.read_line() if argument == b"-" else argument
        key = await key_search.find(app, text, interaction.progress)
        if not key:
            raise Refused("expected a key on stdin")
        kind = kind_of(key)
        redis_facts = await key_facts.redis_facts(app, key)
        report: dict[str, Any] = {
            "key": shown(app, key),
            "exists": bool(redis_facts),
            "namespace": namespace_of(key),
            "kind": kind.name if kind else UNKNOWN_KIND,
            "owner": kind.owner if kind else None,
            "purpose": kind.purpose if kind else None,
            "tableTtlS": kind.ttl_s if kind else None,
            "redis": camel_names(redis_facts),
            "app": camel_names(await key_facts.app_facts(app, key, kind)),
            "value": await key_value.describe(app, key, kind, redis_facts),
        }
    if json:
        show_json(report)
    else:
        _print_report(report)
    return Exit.OK if report["exists"] else Exit.ATTENTION


def _print_report(report: Mapping[str, Any]) -> None:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in report.items():
        match value:
            case dict() if name in {"redis", "app", "value"}:
                for inner, text in value.items():
                    for row in _rows(inner, text):
                        table.add_row(*row)
            case _:
                for row in _rows(name, value):
                    table.add_row(*row)
    open_console().print(table)


def _rows(name: str, value: Any) -> list[tuple[str, str]]:
    words = re.sub(r"[A-Z]", lambda letter: f" {letter[0].lower()}", name)
    label = re.sub(r" (s|ms)$", r" (\1)", words)  # the unit
    match value:
        case list():
            return [(label if not index else "", str(item)) for index, item in enumerate(value)] or [(label, "none")]
        case None:
            return [(label, "-")]
        case bool():
            return [(label, "yes" if value else "no")]
        case float() | int():
            return [(label, f"{value:,}")]
    return [(label, str(value))]
