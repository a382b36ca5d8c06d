"""`sweep`: one look at every key, now; and what the last one found."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any

import typer
from rich.table import Table

from cli import formatting, interaction
from cli.audit_key_check import refuse_other_audit_key
from cli.terminal import Exit, Json, complain, open_console, run, show_json
from shared import telemetry
from shared.app import App
from shared.delivery.reconcile import PassReport, last_pass, reconcile
from shared.reactor import Cause, Outcome, Reactor, Result
from shared.registry import REACTORS

BUDGET_S = 3600
_TROUBLE = (Result.REJECTED, Result.RETRIED, Result.DEAD)


@dataclass
class Counted:
    """Counts the outcomes of a reactor: `swept` in the pass itself, `retried` among the retries that were due.

    `tell` is called with the number of keys of each call."""

    reactor: Reactor
    tell: Callable[[int], None]
    swept: Counter[Result] = field(default_factory=Counter)
    retried: Counter[Result] = field(default_factory=Counter)

    @property
    def counting(self) -> Reactor:
        """The reactor, with its outcomes counted here."""
        return replace(self.reactor, react=self._react)

    async def _react(self, app: App, keys: Sequence[bytes], cause: Cause) -> list[Outcome]:
        outcomes = await self.reactor.react(app, keys, cause)
        counts = self.retried if cause is Cause.RETRY else self.swept
        counts.update(outcome.result for outcome in outcomes)
        self.tell(len(keys))
        return outcomes


def sweep(
    now: Annotated[bool, typer.Option("--now", help="Sweep; without it only the last sweep is told of.")] = False,
    budget: Annotated[
        int | None,
        typer.Option(
            parser=formatting.parse_duration, metavar="DURATION", help="Longest time, such as 10m; 1h if not given."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Look at every batch, chart and session, as the app does each 30 s, and repair what no event told of.

    First the retries that are due, then a whole round from the start. It works with the settings of this machine: have
    those of the app. Without --now it changes nothing and tells of the last round, whoever made it.

    Ends with 1 when keys failed, another instance holds the lease, or time ran out; without --now when no round is
    known. JSON: {"finished", "held_by_other", "duration_s", "seen", "reactors": {NAME: {"swept": {RESULT: count},
    "retried": {RESULT: count}}}}; without --now {"last": {"age_s", "duration_s", "seen", "outcomes"}}, or null.

    Example: python manage.py sweep --now
    """
    if now:
        run(partial(_sweep, budget_s=float(budget or BUDGET_S), json=json))
    if budget:
        raise typer.BadParameter("--budget goes with --now")
    run(partial(_last, json=json))


async def _last(app: App, *, json: bool) -> Exit:
    found = await last_pass(app)
    if json:
        show_json({"last": found})
    elif found is None:
        complain("no finished sweep is known: the app has not run on this Redis within a day")
    else:
        outcomes = ", ".join(f"{count:,} {name}" for name, count in sorted(found.outcomes.items()))
        print(
            f"The last sweep ended {formatting.duration(found.age_s)} ago, took {found.duration_s:.1f} s and saw "
            f"{found.seen:,} keys" + (f": {outcomes}" if outcomes else "")
        )
        complain("--now sweeps now")
    return Exit.ATTENTION if found is None else Exit.OK


async def _sweep(app: App, *, budget_s: float, json: bool) -> Exit:
    await refuse_other_audit_key(app)
    telemetry.logger.setLevel(logging.CRITICAL)  # a line per key that cannot be read is what the counts are for
    done = 0

    def tell(keys: int) -> None:
        nonlocal done
        done += keys
        progress(done)

    counted = [Counted(reactor, tell) for reactor in REACTORS]
    lease = formatting.duration(app.settings.lease_ms / 1000)
    with (
        interaction.explaining_interruption(
            lambda: f"{done:,} keys were looked at; within {lease} the app's own sweep continues from there"
        ),
        interaction.progress(max(1, await app.redis.dbsize()), "keys looked at") as progress,
    ):
        report = await reconcile(app, [one.counting for one in counted], budget_s=budget_s, anew=True)
        await app.write_minute_counts()
    if json:
        show_json(as_dict(report, counted))
    else:
        _print(report, counted)
    failed = any((one.swept + one.retried)[result] for one in counted for result in _TROUBLE)
    return Exit.OK if report.finished and not failed else Exit.ATTENTION


def as_dict(report: PassReport, counted: Sequence[Counted]) -> dict[str, Any]:
    """What --json prints."""
    return {
        "finished": report.finished,
        "held_by_other": report.held_by_other,
        "duration_s": round(report.duration_s, 3),
        "seen": report.seen,
        "reactors": {one.reactor.name: {"swept": one.swept, "retried": one.retried} for one in counted},
    }


def _print(report: PassReport, counted: Sequence[Counted]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("Reactor", no_wrap=True)
    for header in ("Seen", "In order", "Repaired", "Not now", "Failed", "Retries made"):
        table.add_column(header, justify="right", no_wrap=True)
    for one in counted:
        counts = one.swept
        table.add_row(
            one.reactor.name,
            f"{counts.total():,}",
            f"{counts[Result.DUPLICATE] + counts[Result.IGNORED]:,}",
            f"{counts[Result.PROCESSED]:,}",
            f"{counts[Result.LATER]:,}",
            f"{sum(counts[result] for result in _TROUBLE):,}",
            f"{one.retried.total():,}",
        )
    open_console().print(table)
    if waiting := report.seen - sum(one.swept.total() for one in counted):
        print(f"{waiting:,} keys wait for their retry and were left alone")
    if report.held_by_other:
        complain("another instance holds the lease: it is sweeping now, and finds the same. Or try again in a minute")
    elif report.finished:
        print(f"Done: {report.seen:,} keys in {report.duration_s:.1f} s")
    else:
        complain("time ran out; the app's next sweep goes on from there")
    if any((one.swept + one.retried)[result] for one in counted for result in _TROUBLE):
        complain("keys failed: see python manage.py deadletters list")
