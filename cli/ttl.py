"""`ttl check` and `ttl fix`: the TTLs of all keys against the table of keys."""

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
from shared.words import counted

SET_MISSING_TTLS = Script(__file__, "set_missing_ttls")

EXAMPLES = 3
"""Keys shown per finding."""
RATE_PER_S = 1000
BATCH = 100
"""Keys that one script gives a TTL: about 0.2 ms."""
SLACK_MS = 1000
"""A TTL may exceed that of the table by this much: clients and replicas round."""
SESSION_NOTE = "NextAuth sets no TTL on sessions: they end by their field `expires`."

commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Check TTLs against docs/keys.md, and fix.")


@dataclass(slots=True)
class Finding:
    """Keys of one kind with one fault: TTL `missing`, `longer` than in the table, or kind `unknown` to it."""

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


def fault_of(key: Look) -> str | None:
    """The fault of a key's TTL: missing, longer, unknown; None for a correct TTL."""
    if key.kind is None:
        return "unknown"
    if key.kind.ttl_s is None:
        return None
    if key.ttl_ms is None:
        return "missing"
    return "longer" if key.ttl_ms > key.kind.ttl_s * 1000 + SLACK_MS else None


async def check_ttls(app: App, *, progress: census.Progress | None = None) -> Report:
    """Compare the TTLs of all keys with the table. Raises what the Redis client raises."""
    findings: dict[tuple[str, str], Finding] = {}
    checked = 0
    async for keys in census.pages(app, Selection(), progress=progress):
        for key in await census.look(app, keys):
            checked += 1
            if fault := fault_of(key):
                table_ttl_s = key.kind.ttl_s if key.kind else None
                finding = findings.setdefault((key.kind_name, fault), Finding(key.kind_name, fault, table_ttl_s))
                _add(app, finding, key)
    order = [*namespaces.BY_NAME, UNKNOWN_KIND]
    return Report(checked, sorted(findings.values(), key=lambda finding: (order.index(finding.kind), finding.fault)))


def _add(app: App, finding: Finding, key: Look) -> None:
    finding.keys += 1
    if key.ttl_ms is not None:
        finding.longest_s = max(finding.longest_s or 0.0, key.ttl_ms / 1000)
    if len(finding.examples) < EXAMPLES:
        finding.examples.append(shown(app, key.key))


@commands.command("check")
def check(json: Json = False) -> None:
    """Compare the TTL of every key with the table in docs/keys.md. Exits with 1 when there are findings.

    Findings: missing (the table has a TTL, the key has none), longer (than in the table), unknown (the key fits no
    row). Keys of a kind without a TTL in the table may have one. Examples are masked.

    JSON: {"keys", "findings": [{"kind", "fault", "tableTtlS", "keys", "longestS", "examples"}]}.

    Example: python3 manage.py ttl check
    """
    run(partial(_check, json=json))


async def _check(app: App, *, json: bool) -> Exit:
    with (
        interaction.explaining_interruption(lambda: "nothing was changed; run it again from the start"),
        interaction.progress(await app.redis.dbsize()) as progress,
    ):
        report = await check_ttls(app, progress=progress)
    if json:
        show_json(report)
    elif report.findings:
        open_console().print(_table(report.findings))
        _advise(report.findings)
    if not json:
        complain(
            f"{counted(report.keys, 'key')} checked, {sum(finding.keys for finding in report.findings):,} with findings"
        )
    return Exit.ATTENTION if report.findings else Exit.OK


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("Kind", "TTL", "Table", "Longest", "Keys", "Examples"):
        table.add_column(name, overflow="fold", justify="right" if name in {"Table", "Longest", "Keys"} else "left")
    for finding in findings:
        first, *others = finding.examples
        ttls = [formatting.duration(ttl_s) or "-" for ttl_s in (finding.table_ttl_s, finding.longest_s)]
        table.add_row(finding.kind, finding.fault, *ttls, f"{finding.keys:,}", first)
        for key in others:
            table.add_row("", "", "", "", "", key)
    return table


def _advise(findings: Sequence[Finding]) -> None:
    missing = {finding.kind for finding in findings if finding.fault == "missing"}
    if namespaces.SESSION.name in missing:
        complain(SESSION_NOTE)
    if missing - {namespaces.SESSION.name}:
        complain("missing TTLs: python3 manage.py ttl fix --dry-run")


@commands.command("fix")
def fix(
    kind: KindNames = None,
    include_sessions: Annotated[
        bool,
        typer.Option("--include-sessions", help="Sessions too. Each then ends after an hour, whatever its `expires`."),
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(parser=formatting.parse_rate, metavar="N/s", help=f"Keys per second; default {RATE_PER_S}."),
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Set the TTL of the table on keys that have none. Never changes an existing TTL.

    Skips sessions unless --include-sessions is given: NextAuth sets no TTL and ends them by `expires`. Each TTL that is
    set causes an `expire` event, which changes nothing for the app: at most it checks the key once more. When
    interrupted, run it again to continue.

    JSON: {"dryRun", "keys": {kind: keys that got a TTL, or would}, "sessionsLeftAlone"}.

    Example: python3 manage.py ttl fix --kind batch --dry-run
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

    def explanation() -> str:
        verb = "would have got" if dry_run else "got"
        return f"{counted(sum(fixed.values()), 'key')} {verb} a TTL so far; run it again for the rest"

    with interaction.explaining_interruption(explanation), interaction.progress(await app.redis.dbsize()) as progress:
        skipped = await fix_ttls(
            app,
            selection,
            fixed,
            include_sessions=include_sessions,
            dry_run=dry_run,
            pace=Pace(None if dry_run else rate),
            progress=progress,
        )
    if json:
        show_json({"dryRun": dry_run, "keys": fixed, "sessionsLeftAlone": skipped})
        return Exit.OK
    for name, count in fixed.items():
        print(f"{count:>11,}  {name}: {formatting.duration(namespaces.BY_NAME[name].ttl_s)}")
    complain(f"{counted(sum(fixed.values()), 'key')} {'would get' if dry_run else 'got'} a TTL")
    if skipped:
        complain(f"{counted(skipped, 'session')} without a TTL skipped. {SESSION_NOTE}")
    return Exit.OK


def refuse_kinds(kinds: frozenset[str], *, include_sessions: bool) -> None:
    """Raises Refused for a kind that cannot be fixed with these options."""
    if namespaces.SESSION.name in kinds and not include_sessions:
        raise Refused(f"{SESSION_NOTE} To set one anyway: --include-sessions")
    without_ttl = sorted(name for name in kinds if name == UNKNOWN_KIND or namespaces.BY_NAME[name].ttl_s is None)
    if without_ttl:
        raise Refused(f"the table of keys has no TTL for {', '.join(without_ttl)}")


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
    """Set missing TTLs, counting in `fixed` by kind. Returns the number of sessions that were skipped.

    Raises what the Redis client raises; `fixed` then holds what was done.
    """
    skipped = 0
    async for keys in census.pages(app, selection, progress=progress):
        missing: list[tuple[bytes, Kind]] = []
        for key in await census.look(app, keys):
            if fault_of(key) != "missing" or key.kind is None:
                continue
            if key.kind is namespaces.SESSION and not include_sessions:
                skipped += 1
            else:
                missing.append((key.key, key.kind))
        for batch in batched(missing, BATCH, strict=False):
            if dry_run:
                done = [1] * len(batch)
            else:
                ttls = [kind.ttl_s or 0 for _, kind in batch]
                done = await app.run(SET_MISSING_TTLS, keys=[key for key, _ in batch], args=ttls)
            for (_, kind), count in zip(batch, done, strict=True):
                if count:
                    fixed[kind.name] = fixed.get(kind.name, 0) + count
            await pace.took(len(batch))
    return skipped
