"""`migrate`: rename keys from before namespacing to their present names, and undo it."""

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
from shared.words import counted

_WHY = {
    "conflict": "its new name is taken",
    "same": "its new name is taken by a key with the same content",
    "unfit": "its new name would be a key of another kind",
}


def migrate(
    plan: Annotated[
        Path | None, typer.Option(metavar="FILE", help="More rules, TOML or JSON: see docs/migration.md.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Rename; otherwise only show what would be renamed.")] = False,
    undo: Annotated[Path | None, typer.Option(metavar="JOURNAL", help="Undo the renames of a journal.")] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File for the renames; an existing journal is continued.", show_default=False
        ),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(parser=formatting.parse_rate, metavar="N/s", help="Maximum keys per second.")
    ] = None,
    json: Json = False,
) -> None:
    """Rename keys from before namespacing. These are user:{id}:tokens, session:{id}, and those of a plan.

    A dry run without --apply. A key keeps its TTL and never overwrites another. Every rename is first written to
    migration-TIME.jsonl or --journal; that file holds unmasked keys, session tokens too, so only you can read it. Keep
    it while you may need --undo, then delete it. When interrupted, run it again to continue.

    Exits with 1 when keys were skipped (their new name is taken, or would be of another kind).

    JSON: {"applied", "journal", "rules": [{"from", "to", "moved", "gone", "conflict", "same", "unfit"}], "left":
    [{"from", "key", "why"}]}: without "applied", `moved` counts keys that would be renamed; `left` has the first 20
    skipped keys, masked, the journal has all. With --undo: {"applied", "journal", "undone": {"moved", "gone",
    "conflict", "same", "unreadable"}, "left": [{"key", "why"}]}.

    Example: python3 manage.py migrate --apply
    """
    if undo and (plan or journal):
        raise typer.BadParameter("--undo takes no --plan or --journal")
    if journal and not apply:
        raise typer.BadParameter("a dry run writes no journal; --journal needs --apply")
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
        _print_journal(log)
        with interaction.progress(total) as progress:
            migration = Migration(app, rules, log, rate, progress)
            arguments = ["--apply", "--journal", str(log.path)] if log else []
            if plan:
                arguments += ["--plan", str(plan)]
            with _explaining_stop(migration.report, arguments + _rate(rate) if log else None):
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
        with interaction.progress(log.last, "renames checked") as progress:
            work = Undo(app, log, apply, rate, progress)
            with _explaining_stop(work.report, ["--undo", str(path), "--apply", *_rate(rate)] if apply else None):
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
    redis = app.settings.redis_options
    return Header(VERSION, f"{redis.host}:{redis.port}", [rule.text for rule in rules])


def _new_path() -> Path:
    return Path(f"migration-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.jsonl")


def _rate(per_s: float | None) -> list[str]:
    return [] if per_s is None else ["--rate", f"{per_s:.0f}"]


def _print_journal(log: Journal | None) -> None:
    if log:
        complain(f"journal: {log.path} (holds unmasked keys, session tokens too; keep it private)")
        if log.unreadable:
            complain(f"unreadable, and skipped: {counted(log.unreadable, 'line')} of the journal")


@contextmanager
def _explaining_stop(report: Report, arguments: list[str] | None) -> Iterator[None]:
    """When the block does not finish, whatever the reason, say what was done and how to continue."""
    try:
        yield
    except BaseException:
        if arguments is None:
            complain("stopped; nothing was changed")
        else:
            command = shlex.join(["python3", "manage.py", "migrate", *arguments])
            complain(
                f"stopped; {counted(report.of('moved'), 'key')} renamed, all in the journal. To continue: {command}"
            )
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
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
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
        print("A dry run: nothing was changed. To rename: add --apply")
    elif log and report.of("moved"):
        print(f"To undo: python3 manage.py migrate --undo {shlex.quote(str(log.path))} --apply")


def _show_left(app: App, report: Report, sources: list[str]) -> None:
    if not report.left_alone:
        return
    print(f"{counted(report.left_alone, 'key')} skipped" + (", the first:" if report.left_alone > MAX_LISTED else ":"))
    for place, key, why in report.listed:
        print(f"  {sources[place]} -> {shown(app, key)}: {_WHY[why]}")
    print()


def _show_undone(app: App, report: Report, log: Journal, *, apply: bool) -> None:
    print(f"{report.of('moved'):>11,}  renamed back" if apply else f"{report.of('moved'):>11,}  to be renamed back")
    print(f"{report.of('gone'):>11,}  gone since")
    print(f"{report.left_alone:>11,}  skipped: their old name is taken again")
    for _, key, _ in report.listed:
        print(f"{'':13}{shown(app, key)}")
    if log.unreadable:
        complain(f"unreadable: {counted(log.unreadable, 'line')} of the journal; their renames stay")
    if not apply and report.of("moved"):
        print("A dry run: nothing was changed. To rename: add --apply")
