"""`sweep`: check every key now, or show the result of the last sweep."""

import logging
from collections import Counter
from collections.abc import Sequence
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
from shared.words import counted

BUDGET_S = 3600
_FAILED = (Result.REJECTED, Result.RETRIED, Result.DEAD)


@dataclass
class Counted:
    """Counts the outcomes of a reactor: `swept` in the pass itself, `retried` in the due retries."""

    reactor: Reactor
    swept: Counter[Result] = field(default_factory=Counter)
    retried: Counter[Result] = field(default_factory=Counter)

    @property
    def counting(self) -> Reactor:
        """The reactor, with its outcomes counted in this object."""
        return replace(self.reactor, react=self._react)

    async def _react(self, app: App, keys: Sequence[bytes], cause: Cause) -> list[Outcome]:
        outcomes = await self.reactor.react(app, keys, cause)
        counts = self.retried if cause is Cause.RETRY else self.swept
        counts.update(outcome.result for outcome in outcomes)
        return outcomes


def sweep(
    now: Annotated[bool, typer.Option("--now", help="Sweep; otherwise only show the last sweep.")] = False,
    budget: Annotated[
        int | None,
        typer.Option(
            parser=formatting.parse_duration, metavar="DURATION", help="Longest time, such as 10m; default 1h."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """React to keys whose events were lost. Checks the keys of all reactors, as the app does all the time.

    Runs the due retries, then a complete pass. Works with the settings of this machine, which must be those of the app.
    Without --now it changes nothing and shows the last complete pass of any instance.

    Exits with 1 when keys failed, another instance holds the lease, or time ran out; without --now when no complete
    pass is recorded. JSON: {"finished", "heldByOther", "durationS", "seen", "reactors": {NAME: {"swept": {RESULT:
    count}, "retried": {RESULT: count}}}}; without --now {"last": {"ageS", "durationS", "seen", "outcomes",
    "workedAgeS", "seenSince"}}, or null.

    Example: python3 manage.py sweep --now
    """
    if now:
        run(partial(_sweep, budget_s=float(budget or BUDGET_S), json=json))
    if budget:
        raise typer.BadParameter("--budget needs --now")
    run(partial(_last, json=json))


async def _last(app: App, *, json: bool) -> Exit:
    last = await last_pass(app)
    if json:
        show_json({"last": last})
    elif last is None:
        complain("no complete sweep is recorded: the app has not run on this Redis within a day")
    else:
        outcomes = ", ".join(f"{count:,} {name}" for name, count in sorted(last.outcomes.items()))
        print(
            f"The last sweep ended {formatting.duration(last.age_s)} ago, took {last.duration_s:.1f} s and saw "
            f"{counted(last.seen, 'key')}" + (f": {outcomes}" if outcomes else "")
        )
        if last.seen_since:
            print(f"One in progress has seen {last.seen_since:,}, {formatting.duration(last.worked_age_s)} ago")
        complain("to sweep now: --now")
    return Exit.ATTENTION if last is None else Exit.OK


async def _sweep(app: App, *, budget_s: float, json: bool) -> Exit:
    await refuse_other_audit_key(app)
    telemetry.logger.setLevel(logging.CRITICAL)  # counts replace a line per unreadable key
    tallies = [Counted(reactor) for reactor in REACTORS]
    lease = formatting.duration(app.settings.lease_ms / 1000)
    with (
        interaction.explaining_interruption(
            lambda: (
                f"{counted(sum((tally.swept + tally.retried).total() for tally in tallies), 'key')} checked; within "
                f"{lease} the app's sweep continues from there"
            )
        ),
        interaction.progress(max(1, await app.redis.dbsize()), "keys scanned") as progress,
    ):
        report = await reconcile(
            app, [counts.counting for counts in tallies], budget_s=budget_s, anew=True, on_page=progress
        )
        await app.write_minute_counts()
    if json:
        show_json(as_dict(report, tallies))
    else:
        _print(report, tallies)
    failed = any((counts.swept + counts.retried)[result] for counts in tallies for result in _FAILED)
    return Exit.OK if report.finished and not failed else Exit.ATTENTION


def as_dict(report: PassReport, tallies: Sequence[Counted]) -> dict[str, Any]:
    """The report as --json prints it."""
    return {
        "finished": report.finished,
        "heldByOther": report.held_by_other,
        "durationS": round(report.duration_s, 3),
        "seen": report.seen,
        "reactors": {counts.reactor.name: {"swept": counts.swept, "retried": counts.retried} for counts in tallies},
    }


def _print(report: PassReport, tallies: Sequence[Counted]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("Reactor", no_wrap=True)
    for header in ("Seen", "In order", "Repaired", "Later", "Failed", "Retries"):
        table.add_column(header, justify="right", no_wrap=True)
    for counts in tallies:
        swept = counts.swept
        table.add_row(
            counts.reactor.name,
            f"{swept.total():,}",
            f"{swept[Result.DUPLICATE] + swept[Result.IGNORED]:,}",
            f"{swept[Result.PROCESSED]:,}",
            f"{swept[Result.LATER]:,}",
            f"{sum(swept[result] for result in _FAILED):,}",
            f"{counts.retried.total():,}",
        )
    open_console().print(table)
    if waiting := report.seen - sum(counts.swept.total() for counts in tallies):
        print(f"{counted(waiting, 'key')} skipped: waiting for a retry")
    if report.held_by_other:
        complain("another instance holds the lease and is sweeping now; if it is not, try again in a minute")
    elif report.finished:
        print(f"Done: {counted(report.seen, 'key')} in {report.duration_s:.1f} s")
    else:
        complain("time ran out; the app's next sweep continues from there")
    if any((counts.swept + counts.retried)[result] for counts in tallies for result in _FAILED):
        complain("keys failed: see python3 manage.py deadletters list")
