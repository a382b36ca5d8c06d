"""Claims on batches: who works on which content, told apart by fencing tokens.

lua/claim_batches.lua reads and claims, lua/commit_batches.lua lets only the holder write, lua/renew_claims.lua keeps a
lease during long work or gives it back. All times are Redis' own.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from shared import namespaces, telemetry
from shared.app import App, Call
from shared.batches import baseline, results
from shared.batches.baseline import Baseline
from shared.batches.baseline_copy import baseline_copy
from shared.delivery.dead_letters import mark_key
from shared.errors import KeyTaken, Rejected
from shared.reactor import Outcome, Payload, already, duplicate, ignored, later
from shared.runtime import lazy_numpy
from shared.runtime.threads import off_loop
from shared.store.script import Script

CLAIM_BATCHES = Script(__file__, "claim_batches")
COMMIT_BATCHES = Script(__file__, "commit_batches")
RENEW_CLAIMS = Script(__file__, "renew_claims")
CLAIM_REPLAY = Script(__file__, "claim_replay")

REACTOR = "batches"
MAX_PARTS = 20_000
"""Elements of a list, or fields of a hash, that are read at the most. They are read and digested inside of Redis, which
serves nobody else meanwhile: about 10 us each."""
CLAIM_BYTES = 1024 * 1024
"""Bytes that one call reads at the most, but for its last batch; the rest waits for the next call."""
DECODE_BYTES = 4 * 1024
"""Size of a model from which on reading it takes some ms: that leaves the event loop."""
RENEWALS_PER_LEASE = 3


class Batch(msgspec.Struct, frozen=True):
    """A key and the id in it."""

    key: bytes
    batch_id: bytes


class Claim(msgspec.Struct, frozen=True):
    """A batch that this process may work on until its lease ends.

    `attempt` is one more than the claims on this content that did not end (lua/claim_batches.lua says how exactly);
    `ttl_ms` is what was left of the key's life, negative for none.
    """

    batch: Batch
    payload: Payload
    attempt: int
    token: bytes
    ttl_ms: int

    @property
    def claim_key(self) -> bytes:
        return namespaces.build(namespaces.PROCESSING, self.batch.batch_id)

    def payload_bytes(self) -> int:
        """What there is to work on; an empty element is work too."""
        return sum(map(len, self.payload.parts)) + 16 * len(self.payload.parts)


LATER = "later"
"""The answer for a batch that the call had no room for."""

type Answer = Claim | Outcome | Exception | str


async def claim(app: App, batches: Sequence[Batch], *, new_only: bool = False) -> list[Answer]:
    """Claim these batches: per batch a claim, an outcome where there is nothing to do, what went wrong, or LATER.

    With `new_only` those that have a result or a holder already are passed over, whatever their content.

    Renews the copy of the baseline on the way when it is too old. Raises what the Redis client raises.
    """
    wants_model = _wants_model(app)
    keys = [key for batch in batches for key in _keys(batch)]
    baseline_copy(app).being_read |= wants_model
    try:
        now_s, model, *answers = await app.run(
            CLAIM_BATCHES,
            keys=[*keys, model_key()],
            args=[
                app.owner,
                app.settings.lease_ms,
                app.settings.max_payload_bytes,
                CLAIM_BYTES,
                results.HEAD_BYTES,
                int(wants_model),
                namespaces.PROCESSING_QUEUE_TTL_S,
                namespaces.DEAD_MARK_TTL_S,
                MAX_PARTS,
                int(new_only),
            ],
        )
        if wants_model:
            await _renew_baseline(app, model, now_s)
    finally:
        baseline_copy(app).being_read &= not wants_model
    return [_answer(batch, answer) for batch, answer in zip(batches, answers, strict=True)]


def _wants_model(app: App) -> bool:
    """Whether to read the model along. Of several groups at work one does, if there is a copy for the others."""
    copy, max_age_s = baseline_copy(app), app.settings.baseline_max_age_s
    if copy.fresh(max_age_s):
        return False
    return not copy.being_read or copy.read_s is None or max_age_s == 0


async def _renew_baseline(app: App, model: Sequence[bytes], now_s: int) -> None:
    """Decode the model that was read. A large one would hold up the loop; where there is a copy already that may be a
    little old, the batches at hand do not wait for it either."""
    if sum(map(len, model)) <= DECODE_BYTES:
        baseline_copy(app).replace(baseline.decode_model(model, now_s))
        return
    decoding = asyncio.create_task(off_loop(app.settings.work_timeout_s, _decode_large, model, now_s))
    if baseline_copy(app).read_s is None or app.settings.baseline_max_age_s == 0:
        baseline_copy(app).replace(await decoding)
    else:
        baseline_copy(app).renew(decoding)


def _decode_large(model: Sequence[bytes], now_s: int) -> Baseline:
    lazy_numpy.load()
    return baseline.decode_model(model, now_s)


def model_key() -> bytes:
    return namespaces.build(namespaces.MODEL, results.MODEL_NAME)


def _keys(batch: Batch) -> tuple[bytes, ...]:
    return (
        batch.key,
        namespaces.build(namespaces.RESULT, batch.batch_id),
        namespaces.build(namespaces.PROCESSING, batch.batch_id),
        mark_key(REACTOR, batch.key),
    )


def _answer(batch: Batch, answer: Any) -> Answer:
    match answer:
        case [shape, digest, attempt, token, ttl_ms, *parts]:
            if attempt > 1:
                telemetry.count(REACTOR, "taken_over")
            return Claim(batch, Payload(shape.decode(), digest.decode(), parts), attempt, token, ttl_ms)
    return _no_claim(batch, answer)


def _no_claim(batch: Batch, answer: Any) -> Answer:
    from redis.exceptions import ResponseError

    match answer:
        case [b"gone"]:
            mangled = b"\xef\xbf\xbd" in batch.key  # U+FFFD: the extension's text for a key that is not UTF-8
            return ignored(batch.key, "no such key; its name came mangled" if mangled else "gone")
        case [b"done"]:
            return duplicate(batch.key)
        case [b"passed"]:
            return later(batch.key, "not a new one")
        case [b"dead"]:
            return already(batch.key, "a dead letter already")
        case [b"held"]:
            return later(batch.key, "another worker is at it")
        case [b"foreign"]:
            return KeyTaken("another application keeps something under the key of the claim")
        case [b"later"]:
            return LATER
        case [b"error", text]:
            return ResponseError(text.decode(errors="replace"))
        case [b"type", name]:
            return Rejected(f"a {name.decode()} is no batch")
        case [b"large", size]:
            return Rejected(f"{size} bytes, more than MAX_PAYLOAD_BYTES")
        case [b"many", parts]:
            return Rejected(f"{parts} elements, more than {MAX_PARTS}")
    raise AssertionError("claim_batches.lua answers in one of these forms")


class Commit(msgspec.Struct, frozen=True):
    """What is to be written for a claim: the result, which begins with results.head(digest), and the message."""

    claim: Claim
    result: bytes
    message: bytes


def commit_call(app: App, commits: Sequence[Commit], delta: bytes) -> Call:
    """KEYS and ARGV of lua/commit_batches.lua; `delta` is what all of these add to the model."""
    keys: list[bytes] = []
    written: list[bytes] = []
    for one in commits:
        held = one.claim
        keys += (namespaces.build(namespaces.RESULT, held.batch.batch_id), held.claim_key)
        written += (one.result, one.message, held.token)
    merged, outdated, *fold = baseline_copy(app).take_fold().flat()
    return (
        [*keys, model_key()],
        [
            namespaces.RESULTS_TTL_S,
            namespaces.MODEL_CACHE_TTL_S,
            baseline.GENERATION_S,
            namespaces.BATCH_EVENTS_CHANNEL,
            app.owner,
            delta,
            merged,
            outdated,
            results.HEAD_BYTES,
            *written,
            *fold,
        ],
    )


async def release(app: App, held: Sequence[Claim]) -> list[bool]:
    """Give claims back, so that nobody has to wait for their leases to end. Per claim whether others found other
    content there meanwhile."""
    return [answer == b"again" for answer in await _renew(app, held, lease_ms=0)]


@asynccontextmanager
async def kept_alive(app: App, held: Sequence[Claim]) -> AsyncIterator[None]:
    """Renew these leases while the block runs.

    A renewal that fails is left alone: the commit finds out whether the claim still holds.
    """
    if not held:  # nearly every call: no long work, no task
        yield
        return
    renewing = asyncio.create_task(_renew_again_and_again(app, held))
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.wait([renewing])


async def _renew_again_and_again(app: App, held: Sequence[Claim]) -> None:
    while True:
        await asyncio.sleep(app.settings.lease_ms / 1000 / RENEWALS_PER_LEASE)
        try:
            await _renew(app, held, app.settings.lease_ms)
        except Exception as error:  # see kept_alive
            telemetry.logger.debug("a renewal failed: %s", type(error).__name__)


async def _renew(app: App, held: Sequence[Claim], lease_ms: int) -> list[bytes]:
    if not held:
        return []
    told = [text for one in held for text in (one.token, one.payload.digest)]
    answers: list[bytes] = await app.run(
        RENEW_CLAIMS, keys=[one.claim_key for one in held], args=[app.owner, lease_ms, *told]
    )
    return answers


async def claim_replay(app: App, batch: Batch, payload: Payload) -> Claim | str:
    """Claim a batch whose source is gone, with content from a dead letter; or why not, as lua/claim_replay.lua says."""
    status, *token = await app.run(
        CLAIM_REPLAY,
        keys=list(_keys(batch)[:3]),
        args=[
            app.owner,
            app.settings.lease_ms,
            results.head(payload.digest),
            payload.digest,
            namespaces.PROCESSING_QUEUE_TTL_S,
        ],
    )
    return Claim(batch, payload, 1, token[0], -1) if token else str(status.decode())
