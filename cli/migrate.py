"""`migrate`: keys from before namespacing get their present names, and can have the old ones back."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import formatting, interaction
from cli.migration.journal import VERSION, Header, Journal
from cli.migration.moves import MAX_LISTED, Migration, Report, Undo
from cli.migration.rules import Rule, read_plan
from cli.terminal import Exit, Json, complain, open_console, run, show_json, shown
from shared.app import App
from shared.store.connection import parse_connection_string

_WHY = {
    "conflict": "its new name is taken",
    "same": "its new name is taken by a key with the same content",
    "unfit": "its new name would be a key of another kind",
}


def migrate(
    plan: Annotated[Path | None, typer.Option(help="More rules, TOML or JSON: see docs/migration.md.")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; otherwise only tell what would be done.")] = False,
    undo: Annotated[Path | None, typer.Option(metavar="JOURNAL", help="Take back the renames in a journal.")] = None,
    journal: Annotated[
        Path | None,
        typer.Option(help="Where to write down the renames; one that is there is gone on with.", show_default=False),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(parser=formatting.parse_rate, metavar="N/s", help="Most keys per second.")
    ] = None,
    json: Json = False,
) -> None:
    """Rename keys from before namespacing: user:{id}:tokens, session:{id}, and those of a plan.

    A dry run without --apply. A key keeps its TTL and never takes the place of another. Every rename is written down
    first, in migration-TIME.jsonl or --journal; that file holds keys as they are, session tokens too, so only you can
    read it. Keep it while you may want --undo, then delete it. Interrupted, it goes on when run again.

    Exit code 1: some keys were left alone (their new name is taken, or would be of another kind).

    JSON: {"applied", "journal", "rules": [{"from", "to", "moved", "gone", "conflict", "same", "unfit"}], "left":
    [{"from", "key", "why"}]}: without "applied", `moved` are those that would be; `left` has the first 20, masked, the
    journal all. With --undo: {"applied", "journal", "undone": {"moved", "gone", "conflict", "same", "unreadable"},
    "left": [{"key", "why"}]}.

    Example: python manage.py migrate --apply
    """
    if undo and (plan or journal):
        raise typer.BadParameter("--undo goes by its journal alone, without --plan and --journal")
    if journal and not apply:
        raise typer.BadParameter("a dry run writes no journal; --journal goes with --apply")
    if undo:
        run(partial(_undo, path=undo, apply=apply, rate=rate, json=json))
    run(partial(_migrate, plan=plan, apply=apply, path=journal, rate=rate, json=json))


async def _migrate(
    app: App, *, plan: Path | None, apply: bool, path: Path | None, rate: float | None, json: bool
) -> Exit:
    rules = read_plan(plan)
    total = await app.redis.dbsize()
    log = Journal.create(path or _new_path(), _header(app, rules)) if apply else None
    try:
        _tell_of(log)
        with interaction.progress(total) as progress:
            migration = Migration(app, rules, log, rate, progress)
            again = ["--apply", "--journal", str(log.path)] if log else []
            if plan:
                again += ["--plan", str(plan)]
            with _telling(migration.report, again + _rate(rate) if log else None):
                await migration.run()
    finally:
        if log:
            log.close()
    if json:
        show_json(_as_json(app, rules, migration.report, log))
    else:
        _show(app, rules, migration.report, log)
    return Exit.ATTENTION if migration.report.left_alone else Exit.OK


async def _undo(app: App, *, path: Path, apply: bool, rate: float | None, json: bool) -> Exit:
    log = Journal.open(path, _header(app, ()), write=apply)
    try:
        with interaction.progress(log.last, "renames looked at") as progress:
            work = Undo(app, log, apply, rate, progress)
            with _telling(work.report, ["--undo", str(path), "--apply", *_rate(rate)] if apply else None):
                await work.run()
    finally:
        log.close()
    counts = {name: work.report.of(name) for name in ("moved", "gone", "conflict", "same")}
    counts["unreadable"] = log.unreadable
    if json:
        left = [{"key": shown(app, key), "why": why} for _, key, why in work.report.listed]
        show_json({"applied": apply, "journal": str(path), "undone": counts, "left": left})
    else:
        _show_undone(app, work.report, log, apply=apply)
    return Exit.ATTENTION if work.report.left_alone or log.unreadable else Exit.OK


def _header(app: App, rules: tuple[Rule, ...]) -> Header:
    redis = parse_connection_string(app.settings.redis)
    return Header(VERSION, f"{redis.host}:{redis.port}", [rule.text for rule in rules])


def _new_path() -> Path:
    return Path(f"migration-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.jsonl")


def _rate(per_s: float | None) -> list[str]:
    return [] if per_s is None else ["--rate", f"{per_s:.0f}"]


def _tell_of(log: Journal | None) -> None:
    if log:
        complain(f"journal: {log.path} (holds keys as they are, session tokens too; for your eyes only)")
        if log.unreadable:
            complain(f"{log.unreadable} lines of the journal cannot be read and are passed over")


@contextmanager
def _telling(report: Report, again: list[str] | None) -> Iterator[None]:
    """When it does not come to its end, whatever the reason, say what was done and how to go on."""
    try:
        yield
    except BaseException:
        if again is None:
            complain("stopped; nothing was changed")
        else:
            command = shlex.join(["python", "manage.py", "migrate", *again])
            complain(f"stopped; {report.of('moved'):,} keys renamed, all written down. To go on: {command}")
        raise


def _as_json(app: App, rules: tuple[Rule, ...], report: Report, log: Journal | None) -> dict[str, Any]:
    names = ("moved", "gone", "conflict", "same", "unfit")
    return {
        "applied": log is not None,
        "journal": str(log.path) if log else None,
        "rules": [
            {"from": rule.text.source, "to": rule.text.target} | {name: report.counts[place, name] for name in names}
            for place, rule in enumerate(rules)
        ],
        "left": [
            {"from": rules[place].text.source, "key": shown(app, key), "why": why} for place, key, why in report.listed
        ],
    }


def _show(app: App, rules: tuple[Rule, ...], report: Report, log: Journal | None) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("from", "to"):
        table.add_column(name, overflow="fold")
    for name in ("renamed" if log else "to rename", "conflict", "same", "unfit"):
        table.add_column(name, justify="right")
    for place, rule in enumerate(rules):
        counts = [f"{report.counts[place, name]:,}" for name in ("moved", "conflict", "same", "unfit")]
        table.add_row(rule.text.source, rule.text.target, *counts)
    open_console().print(table)
    _show_left(app, report, [rule.text.source for rule in rules])
    if not log and report.of("moved"):
        print("A dry run: nothing was changed. To do it: add --apply")
    elif log and report.of("moved"):
        print(f"To take it back: python manage.py migrate --undo {shlex.quote(str(log.path))} --apply")


def _show_left(app: App, report: Report, sources: list[str]) -> None:
    if not report.left_alone:
        return
    print(f"{report.left_alone:,} keys are left alone" + (", the first:" if report.left_alone > MAX_LISTED else ":"))
    for place, key, why in report.listed:
        print(f"  {sources[place]} -> {shown(app, key)}: {_WHY[why]}")
    print()


def _show_undone(app: App, report: Report, log: Journal, *, apply: bool) -> None:
    print(f"{report.of('moved'):>11,}  renamed back" if apply else f"{report.of('moved'):>11,}  to be renamed back")
    print(f"{report.of('gone'):>11,}  gone since")
    print(f"{report.left_alone:>11,}  left alone: their old name is taken again")
    for _, key, _ in report.listed:
        print(f"{'':13}{shown(app, key)}")
    if log.unreadable:
        complain(f"{log.unreadable} lines of the journal cannot be read; what they told of stays as it is")
    if not apply and report.of("moved"):
        print("A dry run: nothing was changed. To do it: add --apply")
