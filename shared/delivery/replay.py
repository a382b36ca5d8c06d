"""Replaying dead letters, through the same claims and commits as any reaction: so a replay has its effect once."""

from collections.abc import Sequence

from shared.app import App
from shared.delivery import dead_letters
from shared.delivery.dead_letters import Letter
from shared.errors import KeyspaceError
from shared.reactor import Cause, Outcome, Reactor, ignored


async def replay(app: App, reactors: Sequence[Reactor], letter_id: str) -> Outcome:
    """React to the present content of a letter's key, or to the letter's payload if the key is gone.

    Removes the letter if the content now has its effect. Raises KeyspaceError for an unknown id, RedisError or OSError
    if Redis is away; the call can be repeated.
    """
    letter = await dead_letters.get(app, letter_id)
    if letter is None:
        raise KeyspaceError(f"there is no dead letter {letter_id[:40]!r}")
    reactor = next((reactor for reactor in reactors if reactor.name == letter.reactor), None)
    if reactor is None:
        raise KeyspaceError(f"dead letter {letter_id} belongs to {letter.reactor[:40]!r}, which is no reactor")
    mark = dead_letters.mark_key(letter.reactor, letter.key)
    if await app.redis.get(mark) in {(letter.digest or "").encode(), dead_letters.NO_DIGEST}:
        await app.redis.delete(mark)  # a mark of other content belongs to a later letter
    outcome = await _replay(app, reactor, letter)
    if outcome.effect:
        await dead_letters.remove(app, letter_id)
    return outcome


async def _replay(app: App, reactor: Reactor, letter: Letter) -> Outcome:
    if await app.redis.exists(reactor.source(app, letter.key)):
        (outcome,) = await reactor.react(app, [letter.key], Cause.REPLAY)
        return outcome
    payload = await dead_letters.payload(app, letter.id)
    if payload is None and await dead_letters.get(app, letter.id) is None:
        raise KeyspaceError(f"dead letter {letter.id} was replayed or discarded in the meantime")
    if payload is None:
        return ignored(letter.key, "the key is gone and the letter has no payload")
    return await reactor.replay(app, letter.key, payload)
