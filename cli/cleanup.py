"""`cleanup`: remove the keys of a namespace, after asking, a few at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import batched
from typing import Annotated

import typer

from cli import formatting, interaction
from cli.keys import KindNames, Match, selection_of
from cli.terminal import DryRun, Exit, Json, Refused, complain, run, show_json
from shared import namespaces
from shared.app import App
from shared.operations import census
from shared.operations.census import Look, Pace
from shared.operations.key_selection import Namespace, Selection
from shared.registry import REACTORS
from shared.store.script import Script

UNLINK_KEYS = Script(__file__, "unlink_keys")

RATE_PER_S = 500
BATCH = 100
"""Keys that one script removes: well below 1 ms, values are freed in the background."""
SESSION_KINDS = (namespaces.SESSION, namespaces.SESSION_BY_USER)
AUDIT_KINDS = (namespaces.AUDIT_STREAM, namespaces.AUDIT_STATE)
SWEPT_KINDS = frozenset(reactor.kind.name for reactor in REACTORS) | {
    namespaces.RESULT.name,
    namespaces.CHART_CACHE.name,
    namespaces.PHANTOM.name,
}
"""The app's sweep reads these, so while the app runs they are never idle for longer than a pass."""
_APP_STATE = """\
functions is the app's own state. Removed for good: dead letters with their payloads, retries that wait, and what is
known of sessions (live ones are recorded as created again; the end of one that goes meanwhile is not recorded).
Statistics, marks and the place of the sweep are made anew."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be removed. `idle_min_s` is 0 for everything."""

    selection: Selection
    idle_min_s: int
    include_sessions: bool
    include_audit: bool

    def spares(self, one: Look) -> bool:
        """Whether a selected key is one that has to be asked for by a flag of its own."""
        session = one.key.startswith(namespaces.SESSION.prefix)
        return (session and not self.include_sessions) or (one.kind in AUDIT_KINDS and not self.include_audit)

    def wants(self, one: Look) -> bool:
        return self.idle_min_s == 0 or (one.idle_s is not None and one.idle_s >= self.idle_min_s)


@dataclass(slots=True)
class Tally:
    """Keys by kind that are to be removed, how many were spared, and how many are removed by now."""

    keys: dict[str, int]
    spared: int = 0
    removed: int = 0


def cleanup(
    namespace: Annotated[Namespace, typer.Argument(help="`unknown` are the keys in none of the others.")],
    kind: KindNames = None,
    match: Match = None,
    older_than: Annotated[
        int | None,
        typer.Option(
            parser=formatting.parse_duration, metavar="DURATION", help="Only what nobody read or wrote for so long."
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(parser=formatting.parse_rate, metavar="N/s", help=f"Keys per second, {RATE_PER_S} if not given."),
    ] = None,
    include_sessions: Annotated[
        bool, typer.Option("--include-sessions", help="Sessions too: their users are signed out.")
    ] = False,
    include_audit: Annotated[bool, typer.Option("--include-audit", help="The audit stream and its state too.")] = False,
    confirm: Annotated[str | None, typer.Option(metavar="NAMESPACE", help="Answers the question, for scripts.")] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Remove the keys of a namespace, or some of them, after showing how many and asking for the namespace's name.

    The answer may come from a pipe, or as --confirm NAMESPACE. Keys go in batches of 100 (UNLINK, in the background) at
    --rate, for each raises an event. Interrupted, it goes on when run again. Sessions and their indexes stay without
    --include-sessions, audit records without --include-audit.

    --older-than (90s, 15m, 2h, 7d) goes by OBJECT IDLETIME, the time since a key was last read or written: Redis
    keeps no other age. The app's sweep reads batches, charts and sessions every 30 s; of those it finds something only
    while the app is stopped. Under an LFU eviction policy Redis keeps no idle times, and it is refused.

    JSON: {"dry_run", "namespace", "keys": {kind: keys to be removed}, "spared", "removed"}.

    Example: python manage.py cleanup fastapi --kind batch --older-than 2h --dry-run
    """
    run(
        partial(
            _cleanup,
            kinds=kind,
            match=match,
            namespace=namespace,
            idle_min_s=older_than or 0,
            rate=rate or RATE_PER_S,
            include_sessions=include_sessions,
            include_audit=include_audit,
            confirm=confirm,
            dry_run=dry_run,
            json=json,
        )
    )


async def _cleanup(
    app: App,
    *,
    namespace: Namespace,
    kinds: Sequence[str] | None,
    match: str | None,
    idle_min_s: int,
    rate: float,
    include_sessions: bool,
    include_audit: bool,
    confirm: str | None,
    dry_run: bool,
    json: bool,
) -> Exit:
    plan = Plan(selection_of(namespace, kinds, match), idle_min_s, include_sessions, include_audit)
    await refuse_plan(app, plan)
    with (
        interaction.explaining_interruption(lambda: "nothing was removed"),
        interaction.progress(await app.redis.dbsize()) as progress,
    ):
        found = await count(app, plan, progress=progress)
    total = sum(found.keys.values())
    if not json:
        _tell(plan, found)
    if total and not dry_run:
        await _ask(namespace, total, confirm)
        with (
            interaction.explaining_interruption(
                lambda: f"{found.removed:,} of {total:,} keys were removed; run it again for the others"
            ),
            interaction.progress(total, "keys removed") as progress,
        ):
            await remove(app, plan, found, pace=Pace(rate), progress=progress)
    if json:
        show_json(
            {
                "dry_run": dry_run,
                "namespace": namespace,
                "keys": found.keys,
                "spared": found.spared,
                "removed": found.removed,
            }
        )
    else:
        print(f"{total:,} keys would be removed" if dry_run else f"{found.removed:,} keys removed")
    return Exit.OK


async def refuse_plan(app: App, plan: Plan) -> None:
    """Raises Refused for what cannot be done as asked."""
    for included, kinds, flag in (
        (plan.include_sessions, SESSION_KINDS, "--include-sessions"),
        (plan.include_audit, AUDIT_KINDS, "--include-audit"),
    ):
        if not included and (names := plan.selection.kinds & {kind.name for kind in kinds}):
            raise Refused(f"{', '.join(sorted(names))}: only with {flag}")
    if plan.idle_min_s:
        policy = str((await app.redis.info("memory")).get("maxmemory_policy", ""))
        if "lfu" in policy:
            raise Refused(f"--older-than: under the eviction policy {policy} Redis keeps no idle times")


def _tell(plan: Plan, found: Tally) -> None:
    for name, keys in found.keys.items():
        print(f"{keys:>11,}  {name}", flush=True)
    namespace = plan.selection.namespace
    if found.spared:
        what, flag = (
            ("audit keys", "--include-audit")
            if namespace is Namespace.FUNCTIONS
            else ("sessions and indexes of them", "--include-sessions")
        )
        complain(f"{found.spared:,} {what} are left out; see {flag}")
    if namespace is Namespace.FUNCTIONS and found.keys:
        complain(_APP_STATE)
    if plan.idle_min_s and (not plan.selection.kinds or plan.selection.kinds & SWEPT_KINDS):
        complain("while the app runs its sweep reads batches, charts and sessions: none of these is idle for long")


async def _ask(namespace: Namespace, total: int, confirm: str | None) -> None:
    """Raises Refused unless the answer is the namespace's name."""
    with interaction.explaining_interruption(lambda: "nothing was removed"):
        answer = confirm
        if answer is None:
            line = await interaction.read_line(f"{total:,} keys will be removed. Type {namespace} to go on: ")
            answer = line.decode(errors="replace").strip()
    if answer != namespace:
        raise Refused(f"nothing was removed: the answer was not {namespace}")


async def count(app: App, plan: Plan, *, progress: census.Progress | None = None) -> Tally:
    """What `plan` would remove now. Raises what the Redis client raises."""
    found = Tally({})
    async for keys in census.pages(app, plan.selection, progress=progress):
        for one in await census.look(app, keys):
            if plan.spares(one):
                found.spared += 1
            elif plan.wants(one):
                found.keys[one.kind_name] = found.keys.get(one.kind_name, 0) + 1
    return found


async def remove(app: App, plan: Plan, tally: Tally, *, pace: Pace, progress: census.Progress | None = None) -> None:
    """Remove what `plan` says, counting in `tally.removed` as it goes. What is used meanwhile stays, where that
    matters. Raises what the Redis client raises."""
    async for keys in census.pages(app, plan.selection):
        doomed = [one.key for one in await census.look(app, keys) if not plan.spares(one) and plan.wants(one)]
        for some in batched(doomed, BATCH, strict=False):
            tally.removed += await app.run(UNLINK_KEYS, keys=some, args=[plan.idle_min_s])
            if progress:
                progress(tally.removed)
            await pace.took(len(some))
