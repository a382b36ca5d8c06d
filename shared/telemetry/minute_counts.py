"""Counts that this process has to add to the statistics in Redis.

At most once a second, the next pipeline of scripts also writes the counts (App.run_many), so the statistics cost no
round trip; the retry timer writes counts that no pipeline wrote. shared/operations/activity.py reads the statistics.

The statistics are approximate. A count is written up to a few seconds late, to the minute of the write (counts from an
outage of Redis, to the minute of its return). A process that dies loses a few seconds of counts. If the reply to a
pipeline is lost, its counts may be written twice. Counts that Redis refuses, because it is full, are lost.

Fields of a minute's hash, each a number:

    n REACTOR SOURCE OUTCOME    reactions with this outcome; SOURCE is event, sweep, retry, schedule or replay
    d REACTOR BUCKET            reactions to events with this duration; BUCKET is an index into BUCKETS_MS
    l REACTOR BUCKET            effects with this lag after their write

The hashes of ten minutes and of an hour, which are kept longer, have the first kind of field only.

Totals, which grow as long as the app is in use, are written in the same way to one hash (functions:stats:total);
shared/operations/exposition.py reads them. Its fields, each a number:

    outcomes FUNCTION OUTCOME            metrics.OUTCOMES
    duration FUNCTION OUTCOME BUCKET     metrics.DURATION; BUCKET is an index into metrics.BUCKETS_S, which has one more
    duration FUNCTION OUTCOME sum        their sum, us
    lag REACTOR BUCKET                   metrics.LAG, and its `sum`
"""

import time
from bisect import bisect_left
from collections import defaultdict
from typing import Final

from shared.reactor import Source

FLUSH_S = 1.0
BUCKETS_MS: Final = tuple(0.1 * 10 ** (step / 8) for step in range(57))
"""Upper bounds, eight per factor of ten, 0.1 ms to 1,000 s: a percentile has an error of at most 15 %. The last bucket
is open."""
_LAST = len(BUCKETS_MS) - 1
_TOTAL = "t "
"""How a total begins in what `take` returns; the other fields belong to the minute."""

_counts: defaultdict[tuple[str | int, ...], int] = defaultdict(int)
"""By the words of a field, which `take` joins: once a second instead of at every count."""
_taken_s = 0.0


def outcome(reactor: str, source: Source, result: str, duration_ms: float | None = None, n: int = 1) -> None:
    """Count `n` outcomes of a reactor, and the duration of reactions to events."""
    _counts["n", reactor, source.value, result] += n
    if duration_ms is not None and source is Source.EVENT:
        _counts["d", reactor, bucket(duration_ms)] += n


def lag(reactor: str, lag_ms: float) -> None:
    """Count an effect that came `lag_ms` after its write."""
    _counts["l", reactor, bucket(lag_ms)] += 1


def total_outcomes(function: str, outcome: str, n: int) -> None:
    """Add to the totals' outcomes."""
    _counts["t outcomes", function, outcome] += n


def total_duration(function: str, outcome: str, bucket_of: int, duration_ms: float, n: int) -> None:
    """Add `n` reactions of `duration_ms` to the totals."""
    _counts["t duration", function, outcome, bucket_of] += n
    _counts["t duration", function, outcome, "sum"] += int(duration_ms * 1000) * n


def total_lag(reactor: str, bucket_of: int, lag_ms: float) -> None:
    """Add an effect that came `lag_ms` after its write to the totals."""
    _counts["t lag", reactor, bucket_of] += 1
    _counts["t lag", reactor, "sum"] += int(lag_ms * 1000)


def bucket(value_ms: float) -> int:
    """The index of the first bound that is not below `value_ms`."""
    return bisect_left(BUCKETS_MS, value_ms, 0, _LAST)


def take(*, now: bool = False) -> dict[str, int]:
    """Remove and return the counts to write, by field; the caller writes them or gives them back. Empty within FLUSH_S
    of the last call that returned counts, unless `now`."""
    global _taken_s  # noqa: PLW0603 (state of the process)
    if not _counts or not (now or time.monotonic() - _taken_s >= FLUSH_S):
        return {}
    _taken_s = time.monotonic()
    taken: defaultdict[str, int] = defaultdict(int)
    for words, count in _counts.items():
        taken[" ".join(map(str, words))] += count
    _counts.clear()
    return taken


def split(counts: dict[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """The fields of the minute and those of the totals, in what `take` returned."""
    minute, totals = {}, {}
    for name, count in counts.items():
        if name.startswith(_TOTAL):
            totals[name.removeprefix(_TOTAL)] = count
        else:
            minute[name] = count
    return minute, totals


def give_back(counts: dict[str, int]) -> None:
    """Add counts that were not written, for the next `take`."""
    for field, count in counts.items():
        _counts[field,] += count
