"""The batches reactor: `fastapi:temp:data:{batchId}` becomes `fastapi:results:analysis:{batchId}`.

claim (1 round trip for up to 64 batches) -> readings -> analysis (pure) -> fenced commit (1 round trip for all)
"""

import asyncio
import time
from array import array
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import cache
from threading import Thread
from typing import Any

import msgspec

from shared import baseline, claims, lazy_numpy, ledger, namespaces, readings, telemetry
from shared.analysis import (
    Analysis,
    Anomaly,
    RejectedReadings,
    Statistics,
    analyse,
    analyse_many,
    as_result,
)
from shared.baseline import Baseline
from shared.claims import MODEL_NAME, REACTOR, Batch, Claim, Commit
from shared.context import Context
from shared.dead_letters import Payload
from shared.doubles import joined
from shared.errors import NotReady, WorkerLost
from shared.memory import keep_freed
from shared.offloop import off_loop
from shared.outcomes import Outcome, Result, duplicate, ignored, later, processed
from shared.readings import Readings
from shared.settings import Settings
from shared.swept import NEW_ONLY, Swept

NAME = REACTOR
INERT_OPERATIONS = frozenset(
    {"expire", "persist", "del", "expired", "evicted", "rename_from", "move_from", "keymiss", "new"}
)
"""They bring no new content; a result outlives its batch."""
SWEPT: tuple[Swept, ...] = (Swept(namespaces.BATCH.prefix + b"*", lambda key: key, new_only=True),)

BATCHES_PER_CLAIM = 64
MANY_BATCHES = 32
"""So many at once are the sign of a burst."""
THREAD_BYTES = 64 * 1024
"""Payloads from here on take about 5 ms or more to analyse: that work leaves the event loop."""
TURN_S = 0.02
"""How long a group waits until another one is claimed. If that takes longer Redis is slow or away, and nobody is served
by waiting for each other."""
PART_BYTES = 512 * 1024
"""Payloads that are analysed at once: about 1 ms."""
AIR_S = 0.0005
"""How long batches are read without a break for the other functions of the process."""
MAX_LOOKS = 3
"""How often a batch that is written again and again is looked at in one call; then its next event has to do it."""
_NOTHING_DONE = frozenset({Result.DUPLICATE, Result.LATER, Result.IGNORED})
_USUAL_TTL_MS = namespaces.TEMP_DATA_TTL_S * 1000
_LONGEST_LAG_MS = 600_000


class _Model(msgspec.Struct, frozen=True):
    name: str
    version: int
    samples: int


class _Result(msgspec.Struct, frozen=True, rename="camel"):
    """As it is written. The digest comes first: see claims.result_head."""

    input_digest: str
    analysis_id: str
    batch_id: str
    processed_at: str
    model: _Model
    readings: int
    rejected: RejectedReadings
    metrics: Mapping[str, Statistics]
    anomalies: Sequence[Anomaly]
    anomalies_omitted: int


class _Message(msgspec.Struct, frozen=True, rename="camel"):
    """As it is published; `anomalies` is how many there are, listed or not."""

    analysis_id: str
    batch_id: str
    input_digest: str
    processed_at: str
    readings: int
    anomalies: int


class _Ready(msgspec.Struct, frozen=True):
    """A claim with what is to be committed for it."""

    claim: Claim
    result: _Result
    message: _Message
    given: Readings
    """They are added to the model."""


async def react(app: Context, keys: Sequence[bytes], operation: str) -> list[Outcome]:
    """Bring the result of each batch up to its content. One outcome per key, in order.

    Failures are noted in the ledger and come back as outcomes: nothing is raised.
    """
    outcomes: dict[int, Outcome] = {}
    waiting: list[tuple[int, Batch]] = []
    for index, key in enumerate(keys):
        if parts := namespaces.parts_of(namespaces.BATCH, key):
            waiting.append((index, Batch(key, parts[0])))
        else:
            outcomes[index] = ignored(key, "not a batch")
    looks: dict[int, int] = {}
    until_s = time.monotonic() + app.settings.work_timeout_s
    while waiting:
        if looks and time.monotonic() > until_s:  # many large ones; whoever invoked us has a time limit
            return [outcomes.get(index) or later(key, "no time left in this call") for index, key in enumerate(keys)]
        some, waiting = waiting[:BATCHES_PER_CLAIM], waiting[BATCHES_PER_CLAIM:]
        found = await _react_to_some(app, [batch for _, batch in some], new_only=operation == NEW_ONLY)
        for (index, batch), (outcome, again) in zip(some, found, strict=True):
            if outcome is not None:
                if index not in outcomes or outcome.result not in _NOTHING_DONE:
                    outcomes[index] = outcome  # a second look that finds nothing to do leaves the first one's outcome
                looks[index] = looks.get(index, 0) + 1
            if again and looks.get(index, 0) < MAX_LOOKS:
                waiting.append((index, batch))
    return [outcomes[index] for index in range(len(keys))]


type _Found = tuple[Outcome | None, bool]
"""The outcome for a batch, if there is one yet, and whether to look at it again."""


@cache
def prepare_for_bursts() -> None:
    """Once, and better before the first than with it. In a thread, since the import takes a while."""
    keep_freed()
    Thread(target=lazy_numpy.load, name="load numpy", daemon=True).start()


@asynccontextmanager
async def _in_turn(lock: asyncio.Lock) -> AsyncIterator[None]:
    """Hold it, unless that takes longer than TURN_S."""
    held = False
    with suppress(TimeoutError):
        async with asyncio.timeout(TURN_S):
            held = await lock.acquire()
    try:
        yield
    finally:
        if held:
            lock.release()


async def _react_to_some(app: Context, batches: Sequence[Batch], *, new_only: bool) -> list[_Found]:
    if len(batches) >= MANY_BATCHES:
        prepare_for_bursts()
    try:
        async with _in_turn(app.claiming) if len(batches) >= MANY_BATCHES else nullcontext():
            answers = await claims.claim(app, batches, new_only=new_only)
    except Exception as error:  # the ledger decides
        if len(batches) > 1 and not ledger.is_outage(error):  # one of them may be the cause: it must not block others
            return [one for batch in batches for one in await _react_to_some(app, [batch], new_only=new_only)]
        return [(await ledger.failed(app, NAME, batch.key, error), False) for batch in batches]
    telemetry.recovered("Redis")
    found: list[_Found] = [(None, False)] * len(batches)
    claimed: dict[int, Claim] = {}
    for index, answer in enumerate(answers):
        match answer:
            case Claim():
                claimed[index] = answer
            case Outcome():
                found[index] = (answer, False)
            case Exception():
                found[index] = (await ledger.failed(app, NAME, batches[index].key, answer), False)
            case _:
                found[index] = (None, True)
    for index, one in (await _work(app, claimed)).items():
        found[index] = one
    return found


async def _work(app: Context, claimed: dict[int, Claim]) -> dict[int, _Found]:
    """Analyse and commit: the small batches together, then the large ones one by one, so that none waits for them."""
    found: dict[int, _Found] = {}
    large = {index: held for index, held in claimed.items() if held.payload_bytes() >= THREAD_BYTES}
    async with app.computing:  # groups one after the other, so that each finds Redis at work for another
        made = await _compute_small(app, {index: held for index, held in claimed.items() if index not in large})
    faults = {index: one for index, one in made.items() if isinstance(one, Exception)}
    ready = {index: one for index, one in made.items() if isinstance(one, _Ready)}
    async with claims.kept_alive(app, list(large.values())):
        found |= await _commit(app, ready)
        for index, fault in faults.items():
            found[index] = await _failed(app, claimed[index], fault)
        until_s = time.monotonic() + app.settings.work_timeout_s
        late: list[Claim] = []
        for index, held in large.items():
            if time.monotonic() > until_s:
                late.append(held)
                found[index] = (later(held.batch.key, "no time left in this call"), False)
                continue
            try:
                work = await off_loop(app.settings.work_timeout_s, _compute, held, app.baseline.value, app.settings)
            except Exception as error:  # the ledger decides
                found[index] = await _failed(app, held, error)
            else:
                found |= await _commit(app, {index: work})
        await _release(app, late)
    return found


async def _compute_small(app: Context, claimed: Mapping[int, Claim]) -> dict[int, _Ready | Exception]:
    """What there is to commit for each, or why not: that is for the ledger, when the others are done."""
    made: dict[int, _Ready | Exception] = {}
    air_s = time.monotonic() + AIR_S
    for part in _parts(claimed):
        given: dict[int, Readings] = {}
        for index, held in part.items():
            if time.monotonic() >= air_s:
                await asyncio.sleep(0)
                air_s = time.monotonic() + AIR_S
            try:
                given[index] = _read(held, app.settings)
            except Exception as error:
                made[index] = error
        made |= _compute_together(part, given, app.baseline.value, app.settings)
    return made


def _parts(claimed: Mapping[int, Claim]) -> Iterator[dict[int, Claim]]:
    """As many batches at a time as PART_BYTES has room for."""
    part: dict[int, Claim] = {}
    room = PART_BYTES
    for index, held in claimed.items():
        if part and held.payload_bytes() > room:
            yield part
            part, room = {}, PART_BYTES
        part[index] = held
        room -= held.payload_bytes()
    if part:
        yield part


def _compute_together(
    claimed: Mapping[int, Claim], given: Mapping[int, Readings], model: Baseline, settings: Settings
) -> dict[int, _Ready | Exception]:
    """The pure part, once the batches are read."""
    try:
        found = analyse_many(
            list(given.values()),
            model,
            threshold=settings.anomaly_threshold,
            min_samples=settings.baseline_min_samples,
        )
        now = _now()
        return {
            index: _ready(claimed[index], some, one, model, now)
            for (index, some), one in zip(given.items(), found, strict=True)
        }
    except Exception as error:
        if len(given) == 1:
            return dict.fromkeys(given, error)
        made: dict[int, _Ready | Exception] = {}
        for index, some in given.items():  # one of them is the cause
            made |= _compute_together(claimed, {index: some}, model, settings)
        return made


def _compute(held: Claim, model: Baseline, settings: Settings) -> _Ready:
    """The pure part for one batch, with reading it. Raises what `_read` raises."""
    given = _read(held, settings)
    found = analyse(given, model, threshold=settings.anomaly_threshold, min_samples=settings.baseline_min_samples)
    return _ready(held, given, found, model, _now())


def _read(held: Claim, settings: Settings) -> Readings:
    """Raises Rejected, NotReady, or WorkerLost where too many have failed on this content already."""
    if held.attempt > settings.retry_attempts:
        raise WorkerLost(f"{held.attempt - 1} workers claimed this content and did not finish")
    payload = held.payload
    match payload.shape:
        case "string":
            return readings.from_json(payload.parts[0])
        case "list":
            return readings.from_list(payload.parts)
        case _:
            return readings.from_hash(dict(zip(payload.parts[::2], payload.parts[1::2], strict=True)))


def _ready(held: Claim, given: Readings, found: Analysis, model: Baseline, now: str) -> _Ready:
    shown_id = held.batch.batch_id.decode(errors="backslashreplace")
    digest = held.payload.digest
    told = as_result(given, found)
    result = _Result(
        digest,
        shown_id,
        shown_id,
        now,
        _Model(MODEL_NAME, model.version, found.baseline_samples),
        told.readings,
        told.rejected,
        told.metrics,
        told.anomalies,
        told.anomalies_omitted,
    )
    anomalies = len(told.anomalies) + told.anomalies_omitted
    message = _Message(shown_id, shown_id, digest, now, told.readings, anomalies)
    return _Ready(held, result, message, given)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _commit(app: Context, ready: Mapping[int, _Ready]) -> dict[int, _Found]:
    """Commit what is ready in one round trip; in further ones where somebody else was quicker with some of it."""
    found: dict[int, _Found] = {}
    waiting = dict(ready)
    while waiting:
        delta = _delta([one.given for one in waiting.values()])
        call = claims.commit_call(app, [_as_commit(one) for one in waiting.values()], delta)
        (replies,) = await ledger.run_repeatable(app, "commit_batches", [call])
        if isinstance(replies, Exception):
            if ledger.is_outage(replies):
                return found | await _away(app, waiting, replies)
            if len(waiting) > 1:  # one of them may be the cause
                for index, one in waiting.items():
                    found |= await _commit(app, {index: one})
                return found
            replies = [replies]
        answered = dict(zip(waiting, replies, strict=True))
        for index, reply in answered.items():
            if reply != b"not yet":
                found[index] = await _committed(app, waiting.pop(index), reply)
    return found


def _as_commit(one: _Ready) -> Commit:
    return Commit(one.claim, msgspec.json.encode(one.result), msgspec.json.encode(one.message))


def _delta(given: Iterable[Readings]) -> bytes:
    rows: defaultdict[str, list[array[float]]] = defaultdict(list)
    for some in given:
        for metric, series in some.series.items():
            rows[metric].append(series.values)
    return baseline.encode_delta({metric: joined(values) for metric, values in rows.items()})


async def _away(app: Context, waiting: Mapping[int, _Ready], error: Exception) -> dict[int, _Found]:
    """Redis is away: nothing can be noted, and the claims go back in one call, since each call may take a timeout."""
    held = [one.claim for one in waiting.values()]
    outcomes = [await ledger.failed(app, NAME, one.batch.key, error) for one in held]
    return dict(zip(waiting, zip(outcomes, await _release(app, held), strict=True), strict=True))


async def _committed(app: Context, one: _Ready, reply: Any) -> _Found:
    key = one.claim.batch.key
    match reply:
        case b"committed" | b"again":
            if 0 <= (lag_ms := _USUAL_TTL_MS - one.claim.ttl_ms) < _LONGEST_LAG_MS:
                telemetry.lag(NAME, lag_ms)
            told = one.message
            return processed(key, f"{told.readings} readings, {told.anomalies} anomalies"), reply == b"again"
        case b"same" | b"same again":
            return duplicate(key), reply == b"same again"
        case b"stale":
            telemetry.count(NAME, "lost_lease")
            return later(key, "the lease ran out"), True
    return await _failed(app, one.claim, reply)


async def _failed(app: Context, held: Claim, error: Exception) -> _Found:
    """Note the failure, then give the claim back. In this order: between the two nobody else tries."""
    key = held.batch.key
    if isinstance(error, NotReady):
        outcome = ignored(key, str(error))
    else:
        outcome = await ledger.failed(app, NAME, key, error, held.payload, attempts=held.attempt)
    (again,) = await _release(app, [held])
    return outcome, again


async def _release(app: Context, held: Sequence[Claim]) -> list[bool]:
    """Give claims back. Whether somebody wanted each batch meanwhile: then it may hold other content."""
    try:
        return await claims.release(app, held)
    except Exception as fault:  # the leases end by themselves
        telemetry.logger.debug("claims could not be given back: %s", type(fault).__name__)
        return [False] * len(held)


async def replay(app: Context, key: bytes, payload: Payload) -> Outcome:
    """React to content from a dead letter whose source is gone: the same path, from the claim on."""
    parts = namespaces.parts_of(namespaces.BATCH, key)
    if parts is None:
        return ignored(key, "not a batch")
    held = await claims.claim_replay(app, Batch(key, parts[0]), payload)
    match held:
        case Claim():
            ((outcome, again),) = (await _work(app, {0: held})).values()
            if again:  # it was written meanwhile
                (outcome,) = await react(app, [key], "replay")
            return outcome if outcome is not None else later(key, "no outcome yet")
        case "done":
            return duplicate(key)
        case "held":
            return later(key, "another worker is at it")
        case "superseded":
            return ignored(key, "there is a newer result")
    (outcome,) = await react(app, [key], "replay")  # it lives again
    return outcome
