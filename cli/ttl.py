"""`ttl check` and `ttl fix`: every key against the table of namespaces."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import batched
from typing import Annotated

import typer
from rich.table import Table

from cli import formatting, interaction
from cli.keys import KindNames, selection_of
from cli.terminal import DryRun, Exit, Json, Refused, complain, open_console, run, show_json, shown
from shared import namespaces
from shared.app import App
from shared.namespaces import Kind
from shared.operations import census
from shared.operations.census import Look, Pace
from shared.operations.key_selection import UNKNOWN_KIND, Selection
from shared.store.script import Script

SET_MISSING_TTLS = Script(__file__, "set_missing_ttls")

EXAMPLES = 3
"""Keys that are shown per finding."""
RATE_PER_S = 1000
BATCH = 100
"""Keys that one script gives a TTL: about 0.2 ms."""
SLACK_MS = 1000
"""A TTL of the table, just set, may look that much longer: clients and replicas round."""
SESSION_NOTE = "NextAuth sets no TTL on sessions: what ends them is the field `expires`."

commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Check TTLs against docs/keys.md, and fix.")


@dataclass(slots=True)
class Finding:
    """Keys of one kind with one fault: `missing` a TTL, `longer` than in the table, or `unknown` to it."""

    kind: str
    fault: str
    table_ttl_s: int | None
    keys: int = 0
    longest_s: float | None = None
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Report:
    keys: int
    findings: list[Finding]


def fault_of(one: Look) -> str | None:
    """What is wrong with a key's TTL: missing, longer, unknown; None when nothing is."""
    if one.kind is None:
        return "unknown"
    if one.kind.ttl_s is None:
        return None
    if one.ttl_ms is None:
        return "missing"
    return "longer" if one.ttl_ms > one.kind.ttl_s * 1000 + SLACK_MS else None


async def check_ttls(app: App, *, progress: census.Progress | None = None) -> Report:
    """Every key against the table. Raises what the Redis client raises."""
    findings: dict[tuple[str, str], Finding] = {}
    checked = 0
    async for keys in census.pages(app, Selection(), progress=progress):
        for one in await census.look(app, keys):
            checked += 1
            if fault := fault_of(one):
                table_ttl_s = one.kind.ttl_s if one.kind else None
                found = findings.setdefault((one.kind_name, fault), Finding(one.kind_name, fault, table_ttl_s))
                _add(app, found, one)
    order = [*namespaces.BY_NAME, UNKNOWN_KIND]
    return Report(checked, sorted(findings.values(), key=lambda found: (order.index(found.kind), found.fault)))


def _add(app: App, found: Finding, one: Look) -> None:
    found.keys += 1
    if one.ttl_ms is not None:
        found.longest_s = max(found.longest_s or 0.0, one.ttl_ms / 1000)
    if len(found.examples) < EXAMPLES:
        found.examples.append(shown(app, one.key))


@commands.command("check")
def check(json: Json = False) -> None:
    """Compare the TTL of every key with the table in docs/keys.md. Ends with 1 when there are findings.

    Findings: missing (the table has a TTL, the key has none), longer (than the table says), unknown (a key that fits no
    row). A kind without a TTL in the table may have one. Examples are masked.

    JSON: {"keys", "findings": [{"kind", "fault", "table_ttl_s", "keys", "longest_s", "examples"}]}.

    Example: python manage.py ttl check
    """
    run(partial(_check, json=json))


async def _check(app: App, *, json: bool) -> Exit:
    with (
        interaction.explaining_interruption(lambda: "nothing was changed; it has to start anew"),
        interaction.progress(await app.redis.dbsize()) as progress,
    ):
        report = await check_ttls(app, progress=progress)
    if json:
        show_json(report)
    elif report.findings:
        open_console().print(_table(report.findings))
        _advise(report.findings)
    if not json:
        complain(f"{report.keys:,} keys checked, {sum(one.keys for one in report.findings):,} with findings")
    return Exit.ATTENTION if report.findings else Exit.OK


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("Kind", "TTL", "Table", "Longest", "Keys", "For example"):
        table.add_column(name, overflow="fold", justify="right" if name in {"Table", "Longest", "Keys"} else "left")
    for one in findings:
        first, *others = one.examples
        table_ttl = formatting.duration(one.table_ttl_s) or "-"
        table.add_row(one.kind, one.fault, table_ttl, formatting.duration(one.longest_s) or "-", f"{one.keys:,}", first)
        for key in others:
            table.add_row("", "", "", "", "", key)
    return table


def _advise(findings: Sequence[Finding]) -> None:
    missing = {one.kind for one in findings if one.fault == "missing"}
    if namespaces.SESSION.name in missing:
        complain(SESSION_NOTE)
    if missing - {namespaces.SESSION.name}:
        complain("missing TTLs: python manage.py ttl fix --dry-run")


@commands.command("fix")
def fix(
    kind: KindNames = None,
    include_sessions: Annotated[
        bool,
        typer.Option(
            "--include-sessions", help="Sessions too. Each then ends after an hour, whatever its `expires` says."
        ),
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(parser=formatting.parse_rate, metavar="N/s", help=f"Keys per second, {RATE_PER_S} if not given."),
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Give keys the TTL of the table that have none. A TTL that is there is never changed.

    Sessions are left alone unless --include-sessions is given, for NextAuth sets no TTL and ends them by `expires`.
    Each TTL that is set raises an `expire` event, which changes nothing for the app: at most it looks at the key once
    more. Interrupted, it goes on when run again.

    JSON: {"dry_run", "keys": {kind: keys that got a TTL, or would}, "sessions_left_alone"}.

    Example: python manage.py ttl fix --kind batch --dry-run
    """
    run(
        partial(
            _fix, kinds=kind, include_sessions=include_sessions, rate=rate or RATE_PER_S, dry_run=dry_run, json=json
        )
    )


async def _fix(
    app: App, *, kinds: Sequence[str] | None, include_sessions: bool, rate: float, dry_run: bool, json: bool
) -> Exit:
    selection = selection_of(None, kinds, None)
    refuse_kinds(selection.kinds, include_sessions=include_sessions)
    fixed: dict[str, int] = {}

    def go_on() -> str:
        verb = "would have got" if dry_run else "got"
        return f"{sum(fixed.values()):,} keys {verb} a TTL so far; run it again for the others"

    with interaction.explaining_interruption(go_on), interaction.progress(await app.redis.dbsize()) as progress:
        left = await fix_ttls(
            app,
            selection,
            fixed,
            include_sessions=include_sessions,
            dry_run=dry_run,
            pace=Pace(None if dry_run else rate),
            progress=progress,
        )
    if json:
        show_json({"dry_run": dry_run, "keys": fixed, "sessions_left_alone": left})
        return Exit.OK
    for name, count in fixed.items():
        print(f"{count:>11,}  {name}: {formatting.duration(namespaces.BY_NAME[name].ttl_s)}")
    complain(f"{sum(fixed.values()):,} keys {'would get' if dry_run else 'got'} a TTL")
    if left:
        complain(f"{left:,} sessions have none and were left alone. {SESSION_NOTE}")
    return Exit.OK


def refuse_kinds(kinds: frozenset[str], *, include_sessions: bool) -> None:
    """Raises Refused for a kind that cannot be fixed as asked."""
    if namespaces.SESSION.name in kinds and not include_sessions:
        raise Refused(f"{SESSION_NOTE} To give them one all the same: --include-sessions")
    endless = sorted(name for name in kinds if name == UNKNOWN_KIND or namespaces.BY_NAME[name].ttl_s is None)
    if endless:
        raise Refused(f"the table of keys has no TTL for {', '.join(endless)}")


async def fix_ttls(
    app: App,
    selection: Selection,
    fixed: dict[str, int],
    *,
    include_sessions: bool,
    dry_run: bool,
    pace: Pace,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Set missing TTLs, counting in `fixed` by kind as it goes. Returns how many sessions were left alone.

    Raises what the Redis client raises: what `fixed` counts was done by then.
    """
    left_alone = 0
    async for keys in census.pages(app, selection, progress=progress):
        missing: list[tuple[bytes, Kind]] = []
        for one in await census.look(app, keys):
            if fault_of(one) != "missing" or one.kind is None:
                continue
            if one.kind is namespaces.SESSION and not include_sessions:
                left_alone += 1
            else:
                missing.append((one.key, one.kind))
        for some in batched(missing, BATCH, strict=False):
            if dry_run:
                done = [1] * len(some)
            else:
                ttls = [kind.ttl_s or 0 for _, kind in some]
                done = await app.run(SET_MISSING_TTLS, keys=[key for key, _ in some], args=ttls)
            for (_, kind), count in zip(some, done, strict=True):
                if count:
                    fixed[kind.name] = fixed.get(kind.name, 0) + count
            await pace.took(len(some))
    return left_alone
