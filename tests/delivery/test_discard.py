"""A discarded dead letter stays discarded: the passes that find its key again do not bury the same content again."""

import json
from dataclasses import replace

import msgspec
import pytest

from shared import namespaces
from shared.app import App
from shared.delivery import dead_letters
from shared.delivery.reconcile import reconcile
from shared.reactor import Cause, Result
from shared.registry import BATCHES, CHARTS, REACTORS, SESSIONS

SESSION = {"userId": "u-1", "expires": "2036-01-01T00:00:00.000Z"}
CASES = {
    "batch": (BATCHES, b"fastapi:temp:data:b1", b'{"records":[{"times', b'[{"metric":"temp","ts":0,"value":24.1}]'),
    "large batch": (BATCHES, b"fastapi:temp:data:b1", b"x" * 2000, b'[{"metric":"temp","ts":0,"value":24.1}]'),
    "chart": (CHARTS, b"fabric:data:chart:c:realtime", b"{", b'[{"timestamp":"2026-01-01T00:00:00Z","flow":1}]'),
    "large chart": (CHARTS, b"fabric:data:chart:c:realtime", b"x" * 2000, b'[{"timestamp":0,"flow":1}]'),
    "session": (SESSIONS, b"nextauth:session:t1", b"null", json.dumps(SESSION).encode()),
}


async def letters(app: App) -> list[str]:
    return [letter.id for letter in (await dead_letters.list_page(app)).letters]


@pytest.mark.parametrize("case", CASES)
async def test_the_same_content_is_not_buried_again_and_new_content_is_processed(app: App, case: str) -> None:
    reactor, key, poison, valid = CASES[case]
    app = replace(app, settings=msgspec.structs.replace(app.settings, max_payload_bytes=1024))
    await app.redis.set(key, poison)
    assert (await reactor.react(app, [key], Cause.WRITTEN))[0].result is Result.REJECTED
    [letter_id] = await letters(app)
    assert await dead_letters.discard(app, letter_id)
    for _ in range(2):
        await reconcile(app, REACTORS, budget_s=30, anew=True)
        await reactor.react(app, [key], Cause.WRITTEN)
    assert await letters(app) == []
    [mark] = [key async for key in app.redis.scan_iter(match=namespaces.DEAD_MARK.prefix + b"*")]
    assert await app.redis.ttl(mark) > namespaces.DEAD_MARK_TTL_S, "looking at the content shortened the mark's life"
    await app.redis.set(key, valid)
    assert (await reactor.react(app, [key], Cause.WRITTEN))[0].result is Result.PROCESSED
