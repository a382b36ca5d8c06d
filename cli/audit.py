"""`audit`: the audit log: its latest records, verification, records of a user, export to storage."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Annotated, Any

import typer
from redis.exceptions import RedisError

from cli import formatting, interaction
from cli.audit_display import (
    as_json,
    clock,
    data_of,
    details,
    escaped,
    grid,
    log_bytes,
    parse,
    storage,
    text,
    user,
    what,
)
from cli.audit_key_check import refuse_other_audit_key
from cli.audit_user import show_user
from cli.terminal import DryRun, Exit, Json, Refused, complain, json_value, open_console, run, show_json
from shared import namespaces
from shared.app import App
from shared.audit import chain, export, state, verify
from shared.audit.chain import Head
from shared.audit.state import TAIL_AUDIT
from shared.audit.verify import Verification
from shared.operations.health import NEARLY_FULL
from shared.words import counted

MAX_TAIL = 1000
MAX_RECORD_BYTES = 16 * 1024
_POLL_S = 0.5
_AWAY_S = 1.0
_END = f"{2**64 - 1}-{2**64 - 1}"
_STREAM = namespaces.build(namespaces.AUDIT_STREAM)

commands = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The audit log: tail, verify, user, export, state."
)


def parse_day(argument: str) -> date:
    """Raises typer.BadParameter for anything but YYYY-MM-DD."""
    try:
        return date.fromisoformat(argument)
    except ValueError:
        raise typer.BadParameter(f"expected a day such as 2026-11-22, not {formatting.quoted(argument)}") from None


Since = Annotated[date | None, typer.Option(parser=parse_day, metavar="DAY", help="First day (UTC).")]
Until = Annotated[date | None, typer.Option(parser=parse_day, metavar="DAY", help="Last day (UTC).")]


@commands.command("tail")
def tail(
    count: Annotated[
        int, typer.Option("-n", parser=formatting.whole(0, MAX_TAIL), metavar="N", help="Number of latest records.")
    ] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Continue with new records, until Ctrl-C.")] = False,
    json: Json = False,
) -> None:
    """Show the latest records, oldest first. From the stream in Redis, also those that are not in storage yet.

    A session is shown as the first 12 digits of its fingerprint, and so is a user id that is an e-mail address. JSON: a
    line per record, the record unchanged, with its user id.

    Example: python3 manage.py audit tail -n 50 --follow
    """
    run(partial(_tail, count=count, follow=follow, json=json))


async def _tail(app: App, *, count: int, follow: bool, json: bool) -> Exit:
    position = (await state.read(app, _END)).last_id
    raw: list[bytes] = []
    if count:
        raw = await app.run(TAIL_AUDIT, keys=[_STREAM], args=[count, MAX_RECORD_BYTES])
    for entry in reversed(raw):
        _print_record(app, parse(entry), json=json)
    if follow:
        with interaction.explaining_interruption(lambda: "the app continues to record"):
            await _follow(app, position, frozenset(raw), json=json)
    return Exit.OK


async def _follow(app: App, position: str, shown: frozenset[bytes], *, json: bool) -> None:
    """Show each record after `position` that is not in `shown`, for ever. Redis may be away, and come back empty."""
    away = False
    while True:
        try:
            page = await state.read(app, position)
        except (RedisError, OSError) as error:
            if not away:
                complain(f"Redis is away ({type(error).__name__}); continues when it is back")
            away = True
            await asyncio.sleep(_AWAY_S)
            continue
        if away:
            complain("Redis is back")
        away = False
        if state.id_order(page.last_id) < state.id_order(position):
            complain("the stream was restarted: Redis lost its state")
            position, shown = chain.START, frozenset()
            continue
        for entry in page.entries:
            event = (entry.fields or {}).get(b"event", b"")
            if event not in shown:
                _print_record(app, parse(event), json=json)
            position = entry.id
        if not page.entries:
            await asyncio.sleep(_POLL_S)


def _print_record(app: App, record: dict[str, Any] | None, *, json: bool) -> None:
    if record is None:
        complain("an entry that is not a record")
    elif json:
        print(as_json(record), flush=True)
    else:
        data = data_of(record)
        subject, by = text(record.get("subject") or "-")[:12], text(data.get("detectedBy") or "-", 10)
        who = user(app, data.get("userId") or "-")
        line = f"{clock(record)}  {what(record):<9}  {subject:<12}  {who}  {by}  {details(app, record)}"
        print(line.rstrip(), flush=True)


@commands.command("verify")
def verify_log(since: Since = None, until: Until = None, json: Json = False) -> None:
    """Verify the log in storage. Shows how much of it is unaltered, or the first fault.

    Checks the signed heads of each day with AUDIT_KEY or AUDIT_KEY_PREVIOUS, and today against the end that Redis
    stores. Use --since to leave out days that a retention policy has deleted.

    Exit codes: 0 unaltered, 1 a fault, or Redis is away and today's end could not be checked, 2 storage is away. JSON:
    {"verified", "redisAsked", "records", "chains", "files", "heads", "unsealedRecords", "fault": null or {"kind",
    "blob", "line", "seq", "detail"}}.

    Example: python3 manage.py audit verify --since 2026-11-01
    """
    _check_days(since, until)
    run(partial(_verify, since=since, until=until, json=json))


async def _verify(app: App, *, since: date | None, until: date | None, json: bool) -> Exit:
    asked, head = await _stored_head(app)
    with interaction.explaining_interruption(lambda: "no fault so far; run it again from the start"):
        async with storage(app) as store:
            total = await log_bytes(store, since, until)
        with interaction.progress(total, "bytes read") as progress:
            async with storage(app, progress) as store:
                verification = await verify.verify(store, app.keyrings, head=head, since=since, until=until)
    if json:
        show_json(
            {
                "verified": verification.fault is None and asked,
                "redisAsked": asked,
                **json_value(verification),
            }
        )
    else:
        _print_verification(verification, asked=asked)
    return Exit.OK if verification.fault is None and asked else Exit.ATTENTION


async def _stored_head(app: App) -> tuple[bool, Head | None]:
    """Whether Redis answered, and the end of the log that it stores."""
    try:
        return True, (await state.state(app)).head
    except (RedisError, OSError) as error:
        complain(f"Redis is away ({type(error).__name__}): whether today's end was cut off cannot be checked")
        return False, None


def _print_verification(verification: Verification, *, asked: bool) -> None:
    read = (
        f"records {verification.records:,}, chains {verification.chains:,}, files {verification.files:,}, "
        f"signed heads {verification.heads:,}; "
        f"unsealed records {verification.unsealed_records:,}"
    )
    fault = verification.fault
    if fault is None:
        print(f"Unaltered: {read}" + ("" if asked else ". Whether the end was cut off is not known"))
        return
    print(f"ALTERED: {fault.kind}")
    table = grid()
    for name, value in (("blob", fault.blob), ("line", fault.line), ("seq", fault.seq)):
        table.add_row(f"  {name}", "-" if value is None else text(str(value)))
    table.add_row("  what", text(fault.detail))
    open_console().print(table)
    print(f"Read up to this fault: {read}")


@commands.command("user")
def user_records(
    user_id: Annotated[str, typer.Argument(metavar="USER_ID", help="As in the session; or - for stdin.")],
    day: Annotated[date | None, typer.Option(parser=parse_day, metavar="DAY", help="Only this day (UTC).")] = None,
    since: Since = None,
    until: Until = None,
    json: Json = False,
) -> None:
    """Show the records of a user's sessions. Of yesterday and today (UTC) without --day, --since and --until.

    Reads storage, and from Redis the records that are not exported yet. Also finds records that name the user by a
    pseudonym of AUDIT_KEY or AUDIT_KEY_PREVIOUS. Exits with 1 when there are no records, or storage could not be read.

    JSON: {"since", "until", "complete", "sessions": [{"life", "records": [{"shipped", "record"}]}], "notes": [record]};
    a life is one sign-in up to its end; notes are records about the log itself: gaps, resets.

    Example: python3 manage.py audit user user-42 --day 2026-11-22
    """
    if day and (since or until):
        raise typer.BadParameter("expected either --day, or --since and --until")
    _check_days(since, until)
    today = datetime.now(UTC).date()
    last = day or until or today
    first = day or since or min(last, today - timedelta(days=1))
    run(partial(show_user, argument=user_id, since=first, until=last, json=json))


@commands.command("export")
def export_now(dry_run: DryRun = False, json: Json = False) -> None:
    """Export the waiting records to storage now. The app does so every minute.

    Safe at any time: two exports never write a record twice. Exits with 1 when another export runs, 2 when storage is
    away.
    JSON: {"dryRun", "written", "pending", "heldByOther"}.

    Example: python3 manage.py audit export --dry-run
    """
    run(partial(_export, dry_run=dry_run, json=json))


async def _export(app: App, *, dry_run: bool, json: bool) -> Exit:
    if not app.settings.storage:
        raise Refused("AzureWebJobsStorage is not set: there is no storage to export to")
    await refuse_other_audit_key(app)
    pending = (await state.state(app)).pending
    written, held_by_other = 0, False
    if not dry_run:
        with (
            interaction.explaining_interruption(
                lambda: f"{counted(written, 'line')} written; the app or the next export continues from there"
            ),
            interaction.progress(pending, "records exported") as progress,
        ):
            finished = False
            while not (finished or held_by_other):
                report = await export.export(app)
                if report.error:
                    raise Refused(f"storage is away: {report.error}; {counted(written, 'line')} written")
                written, finished, held_by_other = written + report.written, report.finished, report.held_by_other
                progress(written)
        pending = (await state.state(app)).pending
    if json:
        show_json({"dryRun": dry_run, "written": written, "pending": pending, "heldByOther": held_by_other})
    elif dry_run:
        print(f"{counted(pending, 'record')} would be exported")
    else:
        print(f"{counted(written, 'line')} written, {counted(pending, 'record')} left")
    if held_by_other:
        complain("another export is running, or was interrupted within the last 90 s; try again after that")
    return Exit.ATTENTION if held_by_other else Exit.OK


@commands.command("state")
def show_state(json: Json = False) -> None:
    """Show how far the log is exported. Waiting records, last export, end of the chain.

    Exits with 1 when something needs attention: no storage, an error, a broken chain, a stream that is nearly full.
    Counters start when Redis last lost its state. JSON: these fields, with "head" as one object.

    Example: python3 manage.py audit state
    """
    run(partial(_state, json=json))


async def _state(app: App, *, json: bool) -> Exit:
    now = await state.state(app)
    full = now.pending > NEARLY_FULL * app.settings.audit_buffer
    code = Exit.ATTENTION if not now.configured or now.error or now.broken or full else Exit.OK
    if json:
        show_json(escaped(json_value(now)))
        return code
    age = f"{formatting.duration(now.last_success_age_s)} ago" if now.last_success_age_s is not None else "never"
    rows = {
        "storage": "set" if now.configured else "NOT SET: records stay in Redis",
        "waiting": f"{counted(now.pending, 'record')} (Redis keeps {app.settings.audit_buffer:,})",
        "last export": age,
        "last error": now.error or "none",
        "end of the log": f"line {now.head.seq:,} of {now.head.blob}" if now.head else "no record written yet",
        "gaps": f"{now.gaps:,}",
        "resets": f"{now.resets:,}",
        "unreadable": f"{now.unreadable:,}",
        "broken chain": as_json(now.broken) if now.broken else "none",
    }
    table = grid()
    for name, value in rows.items():
        table.add_row(name, text(value, 2000))
    open_console().print(table)
    return code


def _check_days(since: date | None, until: date | None) -> None:
    if since and until and until < since:
        raise typer.BadParameter(f"--until {until} is before --since {since}")
