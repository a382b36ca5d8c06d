"""`patterns test`: which function receives the events of a key, and whether events arrive."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cli.terminal import Exit, Json, Refused, complain, open_console, run, show_json, shown
from local.repo.bootstrap import ROOT
from shared.app import App
from shared.operations import live_events, routing
from shared.privacy.masking import printable
from shared.reactor import CHANNEL_PREFIX
from shared.store.glob import glob_match

DOCUMENT = ROOT / "docs" / "patterns.md"
WAIT_S = 2.0
_ROW = re.compile(r"\| `(?P<key>[^`]+)` \| (?:`(?P<function>\w+)`|none) \| (?P<why>.+) \|")

commands = typer.Typer(
    no_args_is_help=True, help="Patterns: which function receives events of which key.", rich_markup_mode=None
)


@commands.callback()
def _group() -> None:
    """Keeps `test` a command of its own."""


@dataclass(frozen=True)
class Row:
    """One line of the table in docs/patterns.md."""

    key: bytes
    function: str | None
    why: str


@commands.command("test")
def try_patterns(
    pattern: Annotated[
        str | None, typer.Argument(metavar="PATTERN", help="A glob as Redis reads it; '*' for any key.")
    ] = None,
    keys: Annotated[list[str] | None, typer.Argument(metavar="KEY", help="Keys to test.")] = None,
    as_json: Json = False,
) -> None:
    """Show which function receives the events of a key. And why; without arguments, test the table in the docs,
    and live.

    With PATTERN and KEY...: whether the pattern matches each key (Redis' rules), which function receives its events,
    and what its reactor does. Needs no Redis. Without arguments: every row of docs/patterns.md, then live: subscribes
    as the triggers do, writes canary keys that the functions ignore (TTL 10 s, removed at the end), and shows which
    events arrived within 2 s.

    Example: python3 manage.py patterns test 'fastapi:*' fastapi:temp:data:b1

    Exit codes: 0 as expected, 1 a key does not match PATTERN, a row is wrong or an event did not arrive, 2 failed,
    130 interrupted. With --json: {"keys": [{key, matches, function, reacts, why}]}, or {"table": [{key, function,
    expected, why, right}], "live": [{function, pattern, event, flag, delayMs}]}, delayMs null where no event arrived.
    """
    if pattern is not None:
        run(lambda app: _try_keys(app, pattern, keys or [], as_json=as_json))
    run(lambda app: _try_all(app, as_json=as_json))


async def _try_keys(app: App, pattern: str, keys: Sequence[str], *, as_json: bool) -> Exit:
    if not keys:
        raise Refused("give a key after the pattern, or for its function alone: patterns test '*' KEY")
    glob = pattern.removeprefix(CHANNEL_PREFIX).encode(errors="surrogateescape")
    answers = [_answer(app, glob, key.encode(errors="surrogateescape")) for key in keys]
    if as_json:
        show_json({"keys": answers})
    else:
        table = _table("Key", "Pattern", "Function", "Why")
        for answer in answers:
            matches = "matches" if answer["matches"] else "no"
            table.add_row(answer["key"], matches, answer["function"] or "none", answer["why"])
        open_console().print(table)
    return Exit.OK if all(answer["matches"] for answer in answers) else Exit.ATTENTION


def _answer(app: App, glob: bytes, key: bytes) -> dict[str, Any]:
    try:
        matches = glob_match(glob, key)
    except ValueError as error:
        raise Refused(f"patterns test: {error}") from None
    verdict = routing.explain(key)
    why = verdict.why
    if not matches:
        prefix = routing.common_prefix(glob, key)
        where = f"after {printable(prefix)!r}" if prefix else "from the first character on"
        why = f"differs from the pattern {where}; {why}"
    name = shown(app, key)
    return {"key": name, "matches": matches, "function": verdict.function, "reacts": verdict.reacts, "why": why}


async def _try_all(app: App, *, as_json: bool) -> Exit:
    table = [(row, routing.explain(row.key)) for row in read_table(DOCUMENT)]
    right = all((row.function, row.why) == (verdict.function, verdict.why) for row, verdict in table)
    console = open_console()
    if not as_json:
        _show_rows(console, app, table)
    try:
        arrivals = await live_events.try_events(app.redis, wait_s=WAIT_S)
    except asyncio.CancelledError:
        complain("Interrupted; the canary keys are removed.")
        raise
    if as_json:
        show_json(
            {
                "table": [_row_json(app, row, verdict) for row, verdict in table],
                "live": [_live_json(arrival) for arrival in arrivals],
            }
        )
    else:
        _show_arrivals(console, arrivals)
    arrived = all(arrival.delay_ms is not None for arrival in arrivals)
    return Exit.OK if right and arrived else Exit.ATTENTION


def read_table(document: Path) -> list[Row]:
    """The rows of the table in docs/patterns.md: key, function, reason. Keys have Python's escapes.

    Raises Refused when there is no such table.
    """
    try:
        matches = [_ROW.fullmatch(line) for line in document.read_text(encoding="utf-8").splitlines()]
    except OSError:
        matches = []
    rows = [Row(_unescaped(row["key"]), row["function"], row["why"]) for row in matches if row]
    if not rows:
        raise Refused(f"{document.relative_to(ROOT)}: no table found")
    return rows


def _unescaped(text: str) -> bytes:
    return text.encode().decode("unicode_escape").encode("latin-1")


def _show_rows(console: Console, app: App, table: Sequence[tuple[Row, routing.Verdict]]) -> None:
    shown_table = _table("Key", "Function", "Right", "Why")
    for row, verdict in table:
        right = (row.function, row.why) == (verdict.function, verdict.why)
        shown_table.add_row(printable(row.key), verdict.function or "none", "yes" if right else "NO", verdict.why)
    console.print(shown_table)
    console.print("Right: as docs/patterns.md says.")


def _show_arrivals(console: Console, arrivals: Sequence[live_events.Arrival]) -> None:
    table = _table("Pattern", "Event", "Flag", "Arrived")
    for arrival in arrivals:
        arrived = "NOT within 2 s" if arrival.delay_ms is None else f"after {arrival.delay_ms:.1f} ms"
        table.add_row(arrival.reactor.pattern, arrival.event, arrival.flag, arrived)
    console.print(table)
    missing = "".join(sorted({arrival.flag for arrival in arrivals if arrival.delay_ms is None}))
    if missing:
        console.print(f"Not every event arrives (flags of those missing: {missing}). See: python3 manage.py doctor")
    else:
        console.print("Every event arrived. (e, evictions, cannot be tested.)")


def _row_json(app: App, row: Row, verdict: routing.Verdict) -> dict[str, Any]:
    right = (row.function, row.why) == (verdict.function, verdict.why)
    return {
        "key": printable(row.key),
        "function": verdict.function,
        "expected": row.function,
        "why": verdict.why,
        "right": right,
    }


def _live_json(arrival: live_events.Arrival) -> dict[str, Any]:
    return {
        "function": arrival.reactor.function,
        "pattern": arrival.reactor.pattern,
        "event": arrival.event,
        "flag": arrival.flag,
        "delayMs": arrival.delay_ms,
    }


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in {"Function", "Right", "Flag", "Event", "Arrived"})
    return table
