"""`cleanup`: remove the keys of a namespace in batches, after confirmation."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
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
from shared.operations.key_selection import UNKNOWN_KIND, Namespace, Selection
from shared.operations.key_shapes import OTHER_SHAPES, has_room, shape_of
from shared.registry import REACTORS
from shared.store.script import Script
from shared.words import counted

UNLINK_KEYS = Script(__file__, "unlink_keys")

RATE_PER_S = 500
BATCH = 100
"""Keys that one script removes: well below 1 ms; values are freed in the background."""
SESSION_KINDS = (namespaces.SESSION, namespaces.SESSION_BY_USER)
AUDIT_KINDS = (namespaces.AUDIT_STREAM, namespaces.AUDIT_STATE)
SWEPT_KINDS = frozenset(reactor.kind.name for reactor in REACTORS) | {
    namespaces.RESULT.name,
    namespaces.CHART_CACHE.name,
    namespaces.PHANTOM.name,
}
"""The app's sweep reads these, so while the app runs they are never idle for longer than a pass."""
_APP_STATE = """\
functions is the app's own state. Lost permanently: dead letters with their payloads, waiting retries, the last-known
state of sessions (live sessions are recorded as created again; the end of sessions that end meanwhile is not recorded).
The app recreates statistics, marks and the position of the sweep."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which keys to remove. `idle_min_s` is 0 for any idle time."""

    selection: Selection
    idle_min_s: int
    include_sessions: bool
    include_audit: bool

    def spares(self, key: Look) -> bool:
        """Whether a selected key is kept because it needs a flag that is not set."""
        session = key.key.startswith(namespaces.SESSION.prefix)
        return (session and not self.include_sessions) or (key.kind in AUDIT_KINDS and not self.include_audit)

    def is_idle(self, key: Look) -> bool:
        return self.idle_min_s == 0 or (key.idle_s is not None and key.idle_s >= self.idle_min_s)


@dataclass(slots=True)
class Tally:
    """Number of keys to remove, by kind; of keys that were spared; and of keys removed so far."""

    keys: dict[str, int]
    shapes: Counter[str] = field(default_factory=Counter)
    """Of the keys of no known kind."""
    spared: int = 0
    removed: int = 0


def cleanup(
    namespace: Annotated[
        Namespace,
        typer.Argument(
            metavar="NAMESPACE", help="nextauth, fabric, fastapi, functions, or `unknown`: keys in none of the others."
        ),
    ],
    kind: KindNames = None,
    match: Match = None,
    older_than: Annotated[
        int | None,
        typer.Option(
            parser=formatting.parse_duration, metavar="DURATION", help="Only keys not read or written for this long."
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(parser=formatting.parse_rate, metavar="N/s", help=f"Keys per second; default {RATE_PER_S}."),
    ] = None,
    include_sessions: Annotated[
        bool, typer.Option("--include-sessions", help="Sessions too: their users are signed out.")
    ] = False,
    include_audit: Annotated[bool, typer.Option("--include-audit", help="The audit stream and its state too.")] = False,
    confirm: Annotated[
        str | None, typer.Option(metavar="NAMESPACE", help="Confirm without a prompt, for scripts.")
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Remove keys of a namespace, after confirmation. Shows their number and asks for the name of the namespace.

    The answer may come from a pipe or as --confirm NAMESPACE. Keys are removed in batches of 100 (UNLINK) at --rate,
    since each removal causes an event. When interrupted, run it again to continue. Sessions and their indexes stay
    without --include-sessions, audit records without --include-audit.

    --older-than (90s, 15m, 2h, 7d) compares OBJECT IDLETIME, the time since a key was last read or written: Redis keeps
    no other age. The app's sweep reads batches, charts and sessions again and again, so these are idle only while the
    app is stopped. Refused under an LFU eviction policy, where Redis keeps no idle times.

    JSON: {"dryRun", "namespace", "keys": {kind: keys to be removed}, "shapes": {shape: keys to be removed, of no
    known kind}, "spared", "removed"}.

    Example: python3 manage.py cleanup fastapi --older-than 2h --dry-run
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
        tally = await count(app, plan, progress=progress)
    total = sum(tally.keys.values())
    if not json:
        _print_tally(plan, tally)
    if total and not dry_run:
        await _ask(namespace, total, confirm)
        with (
            interaction.explaining_interruption(
                lambda: f"{tally.removed:,} of {total:,} keys were removed; run it again for the rest"
            ),
            interaction.progress(total, "keys removed") as progress,
        ):
            await remove(app, plan, tally, pace=Pace(rate), progress=progress)
    if json:
        show_json(
            {
                "dryRun": dry_run,
                "namespace": namespace,
                "keys": tally.keys,
                "shapes": tally.shapes,
                "spared": tally.spared,
                "removed": tally.removed,
            }
        )
    else:
        print(f"{counted(total, 'key')} would be removed" if dry_run else f"{counted(tally.removed, 'key')} removed")
    return Exit.OK


async def refuse_plan(app: App, plan: Plan) -> None:
    """Raises Refused for a plan that these options or this Redis do not allow."""
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


def _print_tally(plan: Plan, tally: Tally) -> None:
    for name, keys in tally.keys.items():
        print(f"{keys:>11,}  {name}", flush=True)
        if name == UNKNOWN_KIND:
            for shape, number in tally.shapes.most_common():
                print(f"{number:>11,}    {shape}", flush=True)
    namespace = plan.selection.namespace
    if tally.spared:
        what, flag = (
            ("audit keys", "--include-audit")
            if namespace is Namespace.FUNCTIONS
            else ("sessions and indexes of sessions", "--include-sessions")
        )
        complain(f"{tally.spared:,} {what} are not removed without {flag}")
    if namespace is Namespace.FUNCTIONS and tally.keys:
        complain(_APP_STATE)
    if plan.idle_min_s and (not plan.selection.kinds or plan.selection.kinds & SWEPT_KINDS):
        complain("while the app runs, its sweep reads batches, charts and sessions: these are never idle for long")


async def _ask(namespace: Namespace, total: int, confirm: str | None) -> None:
    """Raises Refused unless the answer is the namespace's name."""
    with interaction.explaining_interruption(lambda: "nothing was removed"):
        answer = confirm
        if answer is None:
            line = await interaction.read_line(
                f"{counted(total, 'key')} will be removed. Type {namespace} to continue: "
            )
            answer = line.decode(errors="replace").strip()
    if answer != namespace:
        raise Refused(f"aborted, nothing removed: expected `{namespace}`, not {formatting.quoted(answer)}")


async def count(app: App, plan: Plan, *, progress: census.Progress | None = None) -> Tally:
    """Count what `plan` would remove now. Raises what the Redis client raises."""
    tally = Tally({})
    async for keys in census.pages(app, plan.selection, progress=progress):
        for key in await census.look(app, keys):
            if plan.spares(key):
                tally.spared += 1
            elif plan.is_idle(key):
                tally.keys[key.kind_name] = tally.keys.get(key.kind_name, 0) + 1
                if key.kind is None:
                    shape = shape_of(app, key.key)
                    tally.shapes[shape if shape in tally.shapes or has_room(tally.shapes) else OTHER_SHAPES] += 1
    return tally


async def remove(app: App, plan: Plan, tally: Tally, *, pace: Pace, progress: census.Progress | None = None) -> None:
    """Remove the keys of `plan`, counting in `tally.removed`. With a minimum idle time, keys that are used meanwhile
    stay.

    Raises what the Redis client raises.
    """
    async for keys in census.pages(app, plan.selection):
        looks = await census.look(app, keys)
        selected = [key.key for key in looks if not plan.spares(key) and plan.is_idle(key)]
        for batch in batched(selected, BATCH, strict=False):
            tally.removed += await app.run(UNLINK_KEYS, keys=batch, args=[plan.idle_min_s])
            if progress:
                progress(tally.removed)
            await pace.took(len(batch))
