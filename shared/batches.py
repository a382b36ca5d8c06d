"""The batches reactor: `fastapi:temp:data:{batchId}` becomes `fastapi:results:analysis:{batchId}`.

read (1 script) -> readings -> analysis (pure) -> commit (1 script)
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from shared import baseline, namespaces, readings
from shared.analysis import Analysis, analyse, as_result
from shared.baseline import Baseline
from shared.context import Context
from shared.errors import NotReady, Rejected
from shared.outcomes import Outcome, duplicate, ignored, processed, rejected
from shared.readings import Readings
from shared.settings import Settings

INERT_OPERATIONS = frozenset(
    {
        "expire",
        "persist",
        "del",
        "expired",
        "evicted",
        "rename_from",
        "move_from",
        "keymiss",
        "new",
    }
)
"""They bring no new content; a result outlives its batch."""

MODEL_NAME = "anomaly-detector"
BATCHES_PER_READ = 64
THREAD_BYTES = 64 * 1024
"""Payloads from here on take about 5 ms or more to analyse: that work leaves the event loop."""
_DIGEST_CHARS = 40
_HEAD_BYTES = len('{"inputDigest":""') + _DIGEST_CHARS


@dataclass(frozen=True)
class Content:
    """A batch as it was read: `parts` is the one value of a string, the elements of a list, or a hash's fields and
    values in turn."""

    batch_id: bytes
    shape: str
    digest: str
    parts: Sequence[bytes]

    def bytes_long(self) -> int:
        return sum(map(len, self.parts))

    def readings(self) -> Readings:
        match self.shape:
            case "string":
                return readings.from_json(self.parts[0])
            case "list":
                return readings.from_list(self.parts)
            case _:
                return readings.from_hash(dict(zip(self.parts[::2], self.parts[1::2], strict=True)))


async def react(app: Context, keys: Sequence[bytes], operation: str) -> list[Outcome]:
    """Bring the result of each batch up to its content. One outcome per key, in order.

    Raises redis.exceptions.RedisError or OSError when Redis is away.
    """
    outcomes: list[Outcome] = []
    for start in range(0, len(keys), BATCHES_PER_READ):
        outcomes += await _react_to_some(app, keys[start : start + BATCHES_PER_READ])
    return outcomes


async def _react_to_some(app: Context, keys: Sequence[bytes]) -> list[Outcome]:
    outcomes: dict[int, Outcome] = {}
    ids: dict[int, bytes] = {}
    for index, key in enumerate(keys):
        if parts := namespaces.parts_of(namespaces.BATCH, key):
            ids[index] = parts[0]
        else:
            outcomes[index] = ignored(key, "not a batch")
    if ids:
        answers, model = await _read(app, list(ids.values()))
        for (index, batch_id), answer in zip(ids.items(), answers, strict=True):
            outcomes[index] = await _react_to_one(app, keys[index], batch_id, answer, model)
    return [outcomes[index] for index in range(len(keys))]


async def _read(app: Context, batch_ids: Sequence[bytes]) -> tuple[list[Any], Baseline]:
    """What the script says of each batch, and the baseline to score with."""
    wants_model = not app.baseline.fresh(app.settings.baseline_max_age_s)
    keys = [
        namespaces.build(kind, batch_id) for batch_id in batch_ids for kind in (namespaces.BATCH, namespaces.RESULT)
    ]
    now_s, model, *answers = await app.script("read_batches")(
        keys=[*keys, namespaces.build(namespaces.MODEL, MODEL_NAME)],
        args=[app.settings.max_payload_bytes, _HEAD_BYTES, int(wants_model)],
    )
    if wants_model:
        app.baseline.replace(baseline.decode_model(model, now_s))
    return answers, app.baseline.value


async def _react_to_one(app: Context, key: bytes, batch_id: bytes, answer: Any, model: Baseline) -> Outcome:
    match answer:
        case [b"gone"]:
            return ignored(key, "gone" if b"\xef\xbf\xbd" not in key else "no such key; its name came mangled")
        case [b"done"]:
            return duplicate(key)
        case [b"type", name]:
            return rejected(key, f"a {name.decode()} is no batch")
        case [b"large", size]:
            return rejected(key, f"{size} bytes, more than the {app.settings.max_payload_bytes} allowed")
        case [shape, digest, *parts]:
            content = Content(batch_id, shape.decode(), digest.decode(), parts)
            return await _analyse_and_commit(app, key, content, model)
    raise AssertionError("read_batches.lua answers in one of these forms")


async def _analyse_and_commit(app: Context, key: bytes, content: Content, model: Baseline) -> Outcome:
    try:
        if content.bytes_long() >= THREAD_BYTES:
            found, result = await asyncio.to_thread(_compute, content, model, app.settings)
        else:
            found, result = _compute(content, model, app.settings)
    except Rejected as fault:
        return rejected(key, str(fault))
    except NotReady as fault:
        return ignored(key, str(fault))
    await _commit(app, content, found, result)
    return processed(key, f"{result['readings']} readings, {len(result['anomalies'])} anomalies")


def _compute(content: Content, model: Baseline, settings: Settings) -> tuple[Analysis, dict[str, Any]]:
    given = content.readings()
    found = analyse(given, model, threshold=settings.anomaly_threshold, min_samples=settings.baseline_min_samples)
    shown_id = content.batch_id.decode(errors="backslashreplace")
    identity = {
        "inputDigest": content.digest,  # first: the read script finds it there
        "analysisId": shown_id,
        "batchId": shown_id,
        "processedAt": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "model": {"name": MODEL_NAME, "version": model.version, "samples": found.baseline_samples},
    }
    return found, identity | as_result(given, found)


async def _commit(app: Context, content: Content, found: Analysis, result: dict[str, Any]) -> None:
    message = {name: result[name] for name in ("analysisId", "batchId", "inputDigest", "processedAt", "readings")}
    message["anomalies"] = len(result["anomalies"]) + result["anomaliesOmitted"]
    await app.script("commit_batch")(
        keys=[
            namespaces.build(namespaces.RESULT, content.batch_id),
            namespaces.build(namespaces.MODEL, MODEL_NAME),
        ],
        args=[
            msgspec.json.encode(result),
            namespaces.RESULTS_TTL_S,
            namespaces.MODEL_CACHE_TTL_S,
            baseline.encode_delta(found.sketches),
            baseline.GENERATION_S,
            namespaces.BATCH_EVENTS_CHANNEL,
            msgspec.json.encode(message),
            *app.baseline.take_fold().flat(),
        ],
    )
