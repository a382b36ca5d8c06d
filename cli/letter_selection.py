"""Which dead letters a command works on, and replaying them; a row of output per letter."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from cli.terminal import Refused, complain, shown
from shared.app import App
from shared.delivery import dead_letters, replay
from shared.delivery.dead_letters import Letter
from shared.errors import KeyspaceError
from shared.privacy.masking import printable
from shared.reactor import Source
from shared.registry import REACTORS, source_of
from shared.telemetry import minute_counts


async def full_id(app: App, text: str) -> str:
    """The id that `text` means: an id, or the beginning of exactly one. Text that is neither is returned unchanged.

    Raises Refused for the beginning of several ids.
    """
    ids = await dead_letters.ids_beginning(app, text)
    if len(ids) > 1 and text not in ids:
        raise Refused(f"several dead letters begin with {text}: pass more digits of the id")
    return ids[0] if len(ids) == 1 else text


async def chosen(app: App, letter_id: str | None, reactor: str | None) -> list[Letter]:
    """One letter, or all (at most DEAD_LETTERS_MAX), oldest first. Raises what the Redis client raises."""
    if letter_id is not None:
        letter = await dead_letters.get(app, letter_id)
        return [letter] if letter else []
    letters: dict[str, Letter] = {}
    cursor = None
    while True:
        page = await dead_letters.list_page(app, reactor=reactor, cursor=cursor, limit=dead_letters.MAX_PAGE)
        letters.update({letter.id: letter for letter in page.letters})
        if page.unreadable:
            complain(f"{page.unreadable} letters are unreadable and not listed")
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
