"""Which dead letters a command works on, and replaying them; a row of output per letter."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

import typer

from cli import formatting
from cli.terminal import Refused, complain, shown
from shared.app import App
from shared.delivery import dead_letters, replay
from shared.delivery.dead_letters import Letter
from shared.errors import KeyspaceError
from shared.operations import letter_selection
from shared.operations.letter_selection import ALL, LetterSelection
from shared.privacy.masking import printable
from shared.reactor import Source
from shared.registry import NAMES, REACTORS, source_of
from shared.store.glob import MAX_PATTERN_BYTES
from shared.telemetry import minute_counts
from shared.words import counted


def _checked_reactor(name: str | None) -> str | None:
    if name is not None and name not in NAMES:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(NAMES)}")
    return name


OfReactor = Annotated[
    str | None,
    typer.Option(callback=_checked_reactor, metavar=f"[{'|'.join(NAMES)}]", help="Only letters of this reactor."),
]
OfReason = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Only letters whose reason contains this text.")
]
Match = Annotated[
    str | None, typer.Option("--match", metavar="GLOB", help="Only letters whose key, as it is listed, matches.")
]
OlderThan = Annotated[
    int | None,
    typer.Option(parser=formatting.parse_duration, metavar="DURATION", help="Only letters buried before, as 2h."),
]
NewerThan = Annotated[
    int | None,
    typer.Option(parser=formatting.parse_duration, metavar="DURATION", help="Only letters buried since, as 15m."),
]


def selection_of(
    reactor: str | None, reason: str | None, match: str | None, older_than_s: int | None, newer_than_s: int | None
) -> LetterSelection:
    """The letters that the options select. Raises typer.BadParameter for a glob that is too long."""
    if match is not None and len(match.encode(errors="surrogatepass")) > MAX_PATTERN_BYTES:
        raise typer.BadParameter(f"--match: longer than {MAX_PATTERN_BYTES} bytes")
    return LetterSelection(reactor, reason, match, older_than_s, newer_than_s)


async def full_id(app: App, text: str) -> str:
    """The id that `text` means: an id, or the beginning of exactly one. Text that is neither is returned unchanged.

    Raises Refused for the beginning of several ids.
    """
    ids = await dead_letters.ids_beginning(app, text)
    if len(ids) > 1 and text not in ids:
        raise Refused(f"several dead letters begin with {text}: pass more digits of the id")
    return ids[0] if len(ids) == 1 else text


async def chosen(app: App, letter_id: str | None, selection: LetterSelection = ALL) -> list[Letter]:
    """One letter, or those selected (at most DEAD_LETTERS_MAX), oldest first. Raises what the Redis client raises."""
    if letter_id is not None:
        letter = await dead_letters.get(app, letter_id)
        return [letter] if letter else []
    letters: dict[str, Letter] = {}
    cursor = None
    while True:
        page = await letter_selection.page(app, selection, cursor, dead_letters.MAX_PAGE)
        letters.update({letter.id: letter for letter in page.letters})
        if page.unreadable:
            complain(f"unreadable, and not listed: {counted(page.unreadable, 'letter')}")
        cursor = page.next_cursor
        if cursor is None:
            return list(reversed(letters.values()))


async def replayed(app: App, letters: Sequence[Letter]) -> AsyncIterator[dict[str, Any]]:
    """Replay letters; yields a row for each that still existed. Raises what the Redis client raises."""
    for letter in letters:
        try:
            outcome = await replay.replay(app, REACTORS, letter.id)
        except KeyspaceError:
            if await _gone(app, letter.id):  # another replay or discard removed it
                continue
            yield letter_row(app, letter, "ignored", "the letter is unreadable, or no reactor replays it")
            continue
        minute_counts.outcome(letter.reactor, Source.REPLAY, outcome.result.value)
        removed = await _gone(app, letter.id)
        yield letter_row(app, letter, outcome.result.value, outcome.detail, removed=removed)
    await app.write_minute_counts()


async def _gone(app: App, letter_id: str) -> bool:
    try:
        return await dead_letters.get(app, letter_id) is None
    except KeyspaceError:
        return False


def letter_row(
    app: App, letter: Letter, outcome: str | None = None, reason: str | None = None, *, removed: bool = False
) -> dict[str, Any]:
    return {
        "id": letter.id,
        "reactor": printable(letter.reactor.encode()),
        "key": shown(app, source_of(app, letter.reactor, letter.key)),
        "outcome": outcome,
        "reason": reason,
        "removed": removed,
    }
