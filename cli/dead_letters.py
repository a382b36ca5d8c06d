"""`deadletters`: list, show, replay and discard dead letters."""

from collections import Counter
from functools import partial
from typing import Annotated, Any

import msgspec
import typer

from cli import formatting, interaction
from cli.audit_key_check import refuse_other_audit_key
from cli.letter_selection import (
    Match,
    NewerThan,
    OfReactor,
    OfReason,
    OlderThan,
    chosen,
    full_id,
    letter_row,
    replayed,
    selection_of,
)
from cli.letter_tables import plain_table, print_letters, print_rows
from cli.terminal import DryRun, Exit, Json, Refused, complain, open_console, run, show_json
from shared.app import App
from shared.delivery import dead_letters
from shared.errors import KeyspaceError
from shared.operations import explanations, letter_selection, monitor_document
from shared.operations.letter_selection import LetterSelection
from shared.operations.payload import beginning
from shared.privacy.masking import printable
from shared.reading.explain import to_text
from shared.words import counted

MAX_LISTED = 20
ANSWER = "discard"


commands = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Dead letters: list, show, replay, discard. Content that was rejected or failed too often.",
)


_LETTER_ID = typer.Argument(metavar="ID", help="As `deadletters list` shows it, or its first digits.")
LetterId = Annotated[str | None, _LETTER_ID]
All = Annotated[bool, typer.Option("--all", help="All letters; needed unless a filter or an ID is given.")]


@commands.command("list")
def list_letters(
    by_reason: Annotated[bool, typer.Option("--by-reason", help="Count letters by reactor and reason.")] = False,
    reactor: OfReactor = None,
    reason: OfReason = None,
    match: Match = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    limit: Annotated[int, typer.Option(parser=formatting.whole(1, dead_letters.MAX_PAGE), metavar="N")] = 50,
    cursor: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="The cursor that the previous page ended with.")
    ] = None,
    json: Json = False,
) -> None:
    """List dead letters, newest first. Shows reactor, attempts, time of the last one, key (masked) and reason.

    With --by-reason a row per reactor and reason, the most frequent first; `*` and `#` stand for names and numbers.

    Exits with 1 when there are any. JSON: {"letters": [{"id", "reactor", "key", "error", "message", "attempts",
    "first", "last", "payloadBytes", "payloadKept"}], "nextCursor", "totals": {"count", "bytes", "dropped"}}, as GET
    /api/events/dead returns it. With --by-reason {"groups": [{"reactor", "reason", "count", "oldest", "newest",
    "newestId", "newestKey"}], "groupsTotal"}, as GET /api/events/dead-groups returns it: the 100 largest of all groups.

    Example: python3 manage.py deadletters list --reactor batches --limit 20
    """
    selection = selection_of(reactor, reason, match, older_than, newer_than)
    if by_reason:
        run(partial(_list_groups, selection=selection, json=json))
    run(partial(_list, selection=selection, limit=limit, cursor=cursor, json=json))


async def _list_groups(app: App, *, selection: LetterSelection, json: bool) -> Exit:
    found = await letter_selection.groups(app, selection)
    groups = found.groups
    if json:
        show_json(found)
    elif groups:
        table = plain_table("Count", "Reactor", "Newest (UTC)", "Reason")
        table.columns[0].justify = "right"
        for group in groups:
            table.add_row(f"{group.count:,}", group.reactor, _short_time(group.newest), group.reason)
        open_console().print(table)
        if more := found.groups_total - len(groups):
            complain(f"and {counted(more, 'further reason')}: a filter shows them")
        complain("to act on the letters of a reason: replay or discard with --reason TEXT")
    else:
        complain("no dead letters")
    return Exit.ATTENTION if groups else Exit.OK


async def _list(app: App, *, selection: LetterSelection, limit: int, cursor: str | None, json: bool) -> Exit:
    page = await monitor_document.letters(app, selection=selection, cursor=cursor, limit=limit)
    code = Exit.ATTENTION if page.letters else Exit.OK
    if json:
        show_json(page)
        return code
    if page.letters:
        rows = []
        for letter in page.letters:
            why = f"{letter.error}: {letter.message}" if letter.message else letter.error
            cells = (letter.id, letter.reactor, str(letter.attempts), _short_time(letter.last))
            rows.append((cells, (letter.key, why)))
        print_letters(("ID", "Reactor", "Tries", "Last (UTC)"), rows, "Key, reason")
    totals = page.totals
    dropped = f"; {totals.dropped:,} older ones were dropped for lack of room" if totals.dropped else ""
    number = counted(totals.count, "dead letter")
    listed = f"{len(page.letters)} listed of {number}, {formatting.size(totals.bytes)} in all"
    complain((listed if totals.count else "no dead letters") + dropped)
    if page.next_cursor:
        complain(f"more with --cursor {page.next_cursor}")
    return code


def _short_time(iso: str) -> str:
    """Month, day and time to the minute."""
    return iso[5:16].replace("T", " ")


@commands.command("show")
def show_letter(
    letter_id: Annotated[str, _LETTER_ID],
    payload: Annotated[bool, typer.Option("--payload", help="Also the beginning of its content, escaped.")] = False,
    json: Json = False,
) -> None:
    """Show one dead letter. Of its content only the size, unless --payload is given.

    Where the reader refused the content, it is explained as by `explain`. A session's letter never has content. Exits
    with 1 when there is no such letter. JSON: the letter as in `list`, "explanation" as of `explain`, or null, and with
    --payload "payload": {"shape", "parts", "moreParts", "cut"}, or null.

    Example: python3 manage.py deadletters show 0123456789ab --payload
    """
    run(partial(_show, letter_id=letter_id, payload=payload, json=json))


async def _show(app: App, *, letter_id: str, payload: bool, json: bool) -> Exit:
    letter_id = await full_id(app, letter_id)
    letter = await dead_letters.get(app, letter_id)
    if letter is None:
        return _no_such_letter(letter_id)
    explained = await explanations.explained_letter(app, letter)
    report: dict[str, Any] = msgspec.to_builtins(explained)
    if payload:
        content = await dead_letters.payload(app, letter_id)
        report["payload"] = content and beginning(content)
    if json:
        show_json(report)
        return Exit.OK
    payload_shown = report.pop("payload", None)
    report.pop("explanation")
    table = plain_table("", "")
    table.show_header = False
    words = {"payloadBytes": "payload bytes", "payloadKept": "payload kept"}
    for name, value in report.items():
        table.add_row(words.get(name, name), str(value))
    open_console().print(table)
    if explained.explanation is not None:
        print("\n" + to_text(explained.explanation), end="")
    if payload:
        _print_payload(payload_shown)
    return Exit.OK


def _print_payload(content: dict[str, Any] | None) -> None:
    if content is None:
        complain("no content: it was not read, must not be stored, or was too large")
        return
    console = open_console()
    console.print(f"content, a {content['shape']}:")
    for part in content["parts"]:
        console.print(f"  {part}", soft_wrap=True)
    if content["moreParts"]:
        console.print(f"  and {content['moreParts']:,} more")


@commands.command("replay")
def replay_letters(
    letter_id: LetterId = None,
    every: All = False,
    reactor: OfReactor = None,
    reason: OfReason = None,
    match: Match = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Replay letters. Reacts to the present content of the key or, where the key is gone, to the letter's content.

    Removes a letter when its effect is in place; exits with 1 when letters stay. Works with the settings of this
    machine, which must be those of the app, especially CHART_QUERIES and AUDIT_KEY. The app itself replays on POST
    /api/events/dead/ID/replay. When interrupted, run it again to continue.

    JSON: {"dryRun", "letters": [{"id", "reactor", "key", "outcome", "reason", "removed"}]}; of a dry run "outcome" is
    null.

    Example: python3 manage.py deadletters replay --reactor batches --dry-run
    """
    selection = selection_of(reactor, reason, match, older_than, newer_than)
    _check_target(letter_id, every, selection)
    run(partial(_replay, letter_id=letter_id, selection=selection, dry_run=dry_run, json=json))


async def _replay(app: App, *, letter_id: str | None, selection: LetterSelection, dry_run: bool, json: bool) -> Exit:
    letter_id = letter_id and await full_id(app, letter_id)
    letters = await chosen(app, letter_id, selection)
    if letter_id is not None and not letters:
        return _no_such_letter(letter_id)
    if dry_run:
        rows = [letter_row(app, letter) for letter in letters]
    else:
        await refuse_other_audit_key(app)
        rows = []
        with (
            interaction.explaining_interruption(
                lambda: f"{len(rows):,} of {len(letters):,} were replayed; run it again for the rest"
            ),
            interaction.progress(len(letters), "letters replayed") as progress,
        ):
            async for row in replayed(app, letters):
                rows.append(row)
                progress(len(rows))
    stayed = [row for row in rows if row["outcome"] and not row["removed"]]
    if json:
        show_json({"dryRun": dry_run, "letters": rows})
    elif dry_run:
        print_rows(rows, "Key")
        print(f"{len(rows):,} would be replayed")
    else:
        print_rows(stayed, "Key and reason")
        outcomes = Counter(str(row["outcome"]) for row in stayed)
        why = ": " + ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.most_common()) if stayed else ""
        print(f"{len(rows) - len(stayed):,} of {len(rows):,} replayed, {len(stayed):,} stay{why}")
    return Exit.ATTENTION if stayed else Exit.OK


@commands.command("discard")
def discard_letters(
    letter_id: LetterId = None,
    every: All = False,
    reactor: OfReactor = None,
    reason: OfReason = None,
    match: Match = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="Confirm without a prompt, for scripts.")] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Remove letters permanently, with their content, after confirmation.

    The same content is not buried again; new content of the key is processed. The answer may come from a pipe or as
    --confirm.

    JSON: {"dryRun", "letters": [{"id", "reactor", "key", "removed"}]}.

    Example: python3 manage.py deadletters discard 0123456789ab
    """
    selection = selection_of(reactor, reason, match, older_than, newer_than)
    _check_target(letter_id, every, selection)
    run(partial(_discard, letter_id=letter_id, selection=selection, confirm=confirm, dry_run=dry_run, json=json))


async def _discard(
    app: App, *, letter_id: str | None, selection: LetterSelection, confirm: bool, dry_run: bool, json: bool
) -> Exit:
    letter_id = letter_id and await full_id(app, letter_id)
    try:
        rows = [letter_row(app, letter) for letter in await chosen(app, letter_id, selection)]
    except KeyspaceError:  # another application wrote over the letter; it can still be removed
        rows = [{"id": letter_id, "reactor": "?", "key": "?", "outcome": None, "removed": False}]
    if letter_id is not None and not rows:
        return _no_such_letter(letter_id)
    if not json:
        print_rows(rows[:MAX_LISTED], "Key")
        if len(rows) > MAX_LISTED:
            complain(f"and {len(rows) - MAX_LISTED:,} more")
    done = 0
    if rows and not dry_run:
        await _ask(len(rows), confirm)
        with (
            interaction.explaining_interruption(
                lambda: f"{done:,} of {len(rows):,} were removed; run it again for the rest"
            ),
            interaction.progress(len(rows), "letters removed") as progress,
        ):
            for row in rows:
                row["removed"] = await dead_letters.discard(app, row["id"])
                done += row["removed"]
                progress(done)
    if json:
        names = ("id", "reactor", "key", "removed")
        show_json({"dryRun": dry_run, "letters": [{name: row[name] for name in names} for row in rows]})
    else:
        print(f"{len(rows):,} would be removed" if dry_run else f"{done:,} removed")
    return Exit.OK


async def _ask(count: int, confirmed: bool) -> None:
    """Raises Refused unless the answer is ANSWER."""
    if confirmed:
        return
    with interaction.explaining_interruption(lambda: "nothing was removed"):
        line = await interaction.read_line(
            f"Dead letters to remove permanently: {count:,}. Type {ANSWER} to continue: "
        )
    if (answer := line.decode(errors="replace").strip()) != ANSWER:
        raise Refused(f"aborted, nothing removed: expected `{ANSWER}`, not {formatting.quoted(answer)}")


def _check_target(letter_id: str | None, every: bool, selection: LetterSelection) -> None:
    filtered = selection != letter_selection.ALL
    if letter_id is not None and (every or filtered):
        raise typer.BadParameter("an ID needs neither --all nor a filter")
    if letter_id is None and not every and not filtered:
        raise typer.BadParameter("expected an ID, a filter such as --reason TEXT, or --all")


def _no_such_letter(letter_id: str) -> Exit:
    complain(f"there is no dead letter {printable(letter_id.encode(errors='surrogateescape'), 40)}")
    return Exit.ATTENTION
