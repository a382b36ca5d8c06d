"""Dead letters, tried again: through the path that any key takes, so a replay is exactly-once like any reaction."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from shared import dead_letters
from shared.context import Context
from shared.dead_letters import Letter, Payload
from shared.errors import KeyspaceError
from shared.outcomes import Outcome, Result, ignored
from shared.session_keys import source_key


class Replayed(Protocol):
    """What a reactor offers for it."""

    NAME: str

    async def react(self, app: Context, keys: Sequence[bytes], operation: str) -> list[Outcome]: ...

    async def replay(self, app: Context, key: bytes, payload: Payload) -> Outcome: ...


async def replay(app: Context, reactors: Sequence[Replayed], letter_id: str) -> Outcome:
    """Try one letter again: what its key holds now, or the letter's own payload where the key is gone.

    The letter goes when there is an effect, and stays otherwise. Raises KeyspaceError for an unknown id, RedisError or
    OSError when Redis is away; the call can be repeated.
    """
    letter = await dead_letters.get(app, letter_id)
    if letter is None:
        raise KeyspaceError(f"there is no dead letter {letter_id[:40]!r}")
    reactor = next((one for one in reactors if letter.reactor == one.NAME), None)
    if reactor is None:
        raise KeyspaceError(f"dead letter {letter_id} is of {letter.reactor[:40]!r}, which does not replay")
    mark = dead_letters.mark_key(letter.reactor, letter.key)
    if await app.redis.get(mark) in {(letter.digest or "").encode(), dead_letters.NO_DIGEST}:
        await app.redis.delete(mark)  # that of other content, a later letter's, stays
    outcome = await _replay(app, reactor, letter)
    effect = outcome.result is Result.PROCESSED or (outcome.result is Result.DUPLICATE and outcome.detail is None)
    if effect:
        await dead_letters.discard(app, letter_id)
    return outcome


async def _replay(app: Context, reactor: Replayed, letter: Letter) -> Outcome:
    if await app.redis.exists(source_key(app.keyrings, letter.key)):
        (outcome,) = await reactor.react(app, [letter.key], "replay")
        return outcome
    payload = await dead_letters.payload(app, letter.id)
    if payload is None and await dead_letters.get(app, letter.id) is None:
        raise KeyspaceError(f"dead letter {letter.id} was replayed or discarded meanwhile")
    if payload is None:
        return ignored(letter.key, "the key is gone and the letter has no payload")
    return await reactor.replay(app, letter.key, payload)


async def replay_all(app: Context, reactors: Sequence[Replayed], *, reactor: str | None = None) -> Counter[Result]:
    """Try every letter again, or those of one reactor. How many ended in which result."""
    results: Counter[Result] = Counter()
    seen: set[str] = set()
    cursor = None
    while True:
        page = await dead_letters.list_page(app, reactor=reactor, cursor=cursor, limit=dead_letters.MAX_PAGE)
        for letter in page.letters:
            if letter.id not in seen:  # one that failed again is the newest now
                seen.add(letter.id)
                with suppress(KeyspaceError):  # gone meanwhile, or not to be read
                    results[(await replay(app, reactors, letter.id)).result] += 1
        cursor = page.next_cursor
        if cursor is None:
            return results
