"""The result of a batch and the message that announces it. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from shared.batches.analysis import Analysis, Anomaly, Statistics
from shared.reading.model import Reading

MODEL_NAME = "anomaly-detector"
_HEAD = '{{"inputDigest":"{}"'
HEAD_BYTES = len(_HEAD.format("")) + 40
"""Length of a result's head, which identifies the content that it was computed from: see `head`."""


class RejectedReadings(msgspec.Struct, frozen=True):
    """Readings that were left out, by reason."""

    count: int
    reasons: Mapping[str, int]


class Findings(msgspec.Struct, frozen=True, rename="camel"):
    """The part of a result that depends on the content alone."""

    readings: int
    rejected: RejectedReadings
    metrics: Mapping[str, Statistics]
    anomalies: Sequence[Anomaly]
    anomalies_omitted: int


class Model(msgspec.Struct, frozen=True):
    """The baseline that the readings were scored against."""

    name: str
    version: int
    samples: int


class BatchResult(msgspec.Struct, frozen=True, rename="camel"):
    """The document at `fastapi:results:analysis:{batchId}`. The digest comes first: see `head`."""

    input_digest: str
    analysis_id: str
    batch_id: str
    processed_at: str
    model: Model
    readings: int
    rejected: RejectedReadings
    metrics: Mapping[str, Statistics]
    anomalies: Sequence[Anomaly]
    anomalies_omitted: int


class BatchMessage(msgspec.Struct, frozen=True, rename="camel"):
    """The message on `fastapi:events:analysis`; `anomalies` counts all of them, listed or omitted."""

    analysis_id: str
    batch_id: str
    input_digest: str
    processed_at: str
    readings: int
    anomalies: int


def head(digest: str) -> bytes:
    """The first HEAD_BYTES bytes of a result for this content: the scripts compare them instead of parsing JSON."""
    return _HEAD.format(digest).encode()


def findings(readings: Reading, analysis: Analysis) -> Findings:
    rejected = RejectedReadings(sum(readings.rejected.values()), dict(readings.rejected))
    return Findings(readings.count, rejected, analysis.metrics, analysis.anomalies, analysis.anomalies_omitted)


def batch_result(
    batch_id: bytes, digest: str, readings: Reading, analysis: Analysis, *, model_version: int, processed_at: str
) -> BatchResult:
    """The result of a batch. `processed_at` is ISO-8601 in UTC. In an id that is not UTF-8, invalid bytes are
    escaped."""
    shown_id = batch_id.decode(errors="backslashreplace")
    summary = findings(readings, analysis)
    return BatchResult(
        digest,
        shown_id,
        shown_id,
        processed_at,
        Model(MODEL_NAME, model_version, analysis.baseline_samples),
        summary.readings,
        summary.rejected,
        summary.metrics,
        summary.anomalies,
        summary.anomalies_omitted,
    )


def message_of(result: BatchResult) -> BatchMessage:
    return BatchMessage(
        result.analysis_id,
        result.batch_id,
        result.input_digest,
        result.processed_at,
        result.readings,
        len(result.anomalies) + result.anomalies_omitted,
    )
